//! Rows: what a parser of all readings at once expects between two terminals.
//!
//! Earley's algorithm (1970) with the nullable rules of Aycock and Horspool (2002). An item's origin
//! is the row that its rule began in, not a position, and rows are interned: a list that goes round
//! comes back to the row it left. Where a rule's end would end another one and nothing else, an item
//! is taken for one of that other rule at once, after Leo (1991), so that right recursion goes round
//! as well.

use std::collections::HashSet;

use super::production::{Productions, RuleId, SlotId, Symbol, TerminalId};
use crate::formula::{Interner, ids};
use crate::hashing::IdMap;

ids! {
    /// An interned row.
    RowId,
}

/// Items that one row may have.
const MAX_ROW_ITEMS: usize = 4000;
/// Items of all rows together.
const MAX_ITEMS: usize = 2_000_000;
/// Rules that end with one another in a row.
const MAX_CHAIN: usize = 1000;

impl RowId {
    /// A row of nothing, the origin of whole texts.
    pub const ROOT: RowId = RowId(0);
    /// As an origin: the row itself.
    const SELF: RowId = RowId(u32::MAX);
}

/// What is left of a production, and the row it began in.
pub(super) type Item = (SlotId, RowId);

/// What makes a row: its items from before, in order, and whether the whole text may end.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Kernel {
    items: Box<[Item]>,
    accepts: bool,
}

/// A row, ready for use.
#[derive(Default)]
struct Row {
    /// By symbol: the items that wait for it, behind it.
    waiting: IdMap<Symbol, Vec<Item>>,
    expected: Vec<TerminalId>,
    accepts: bool,
}

/// Why there is no row.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum RowLimit {
    /// The row is too large; others may be made.
    Items(u64),
    /// There are too many rows.
    Rows(u64),
    /// The work took too long.
    Fuel,
}

/// All rows met so far.
pub(super) struct Rows {
    kernels: Interner<Kernel, RowId>,
    rows: Vec<Row>,
    tops: IdMap<(RowId, RuleId), Option<(RuleId, RowId)>>,
    items: usize,
}

impl Rows {
    /// Only `ROOT`.
    pub fn new() -> Self {
        let mut kernels = Interner::default();
        kernels.intern(Kernel {
            items: Box::default(),
            accepts: false,
        });
        Rows {
            kernels,
            rows: vec![Row::default()],
            tops: IdMap::default(),
            items: 0,
        }
    }

    /// Items of all rows together.
    pub fn size(&self) -> usize {
        self.items
    }

    /// The terminals that may come next.
    pub fn expected(&self, row: RowId) -> &[TerminalId] {
        &self.rows[usize::from(row)].expected
    }

    /// Whether the whole text may end.
    pub fn accepts(&self, row: RowId) -> bool {
        self.rows[usize::from(row)].accepts
    }

    /// The items that wait for a symbol, as they are behind it.
    pub fn behind(&self, row: RowId, symbol: Symbol) -> impl Iterator<Item = Item> + '_ {
        let waiting = self.rows[usize::from(row)].waiting.get(&symbol);
        let resolved =
            move |&(slot, origin): &Item| (slot, if origin == RowId::SELF { row } else { origin });
        waiting.into_iter().flatten().map(resolved)
    }

    /// The row of some items, with all that follows from them; `spent` counts the work, which ends
    /// at `fuel`.
    pub fn close(
        &mut self,
        grammar: &mut Productions,
        items: Vec<Item>,
        (spent, fuel): (&mut u64, u64),
    ) -> Result<RowId, RowLimit> {
        let (mut agenda, mut seen) = (items, HashSet::<Item, _>::with_hasher(hasher()));
        let (mut kernel, mut accepts) = (Vec::new(), false);
        while let Some((slot, origin)) = agenda.pop() {
            *spent += 1;
            if *spent > fuel {
                return Err(RowLimit::Fuel);
            }
            let (slot, origin) = self.promote(grammar, slot, origin);
            if !seen.insert((slot, origin)) {
                continue;
            }
            if seen.len() > MAX_ROW_ITEMS {
                return Err(RowLimit::Items(MAX_ROW_ITEMS as u64));
            }
            let left = grammar.slot(slot);
            match left.next {
                Some((symbol, rest)) => {
                    kernel.push((slot, origin));
                    if grammar.is_nullable(symbol) {
                        agenda.push((rest, origin));
                    }
                }
                None if left.rule == Productions::WHOLE => accepts = true,
                None => agenda.extend(self.behind(origin, Symbol::Rule(left.rule))),
            }
        }
        kernel.sort_unstable();
        let before = self.items;
        let row = self.intern(grammar, kernel, accepts);
        *spent += (self.items - before) as u64;
        row
    }

    fn intern(
        &mut self,
        grammar: &Productions,
        items: Vec<Item>,
        accepts: bool,
    ) -> Result<RowId, RowLimit> {
        let kernel = Kernel {
            items: items.into(),
            accepts,
        };
        if let Some(known) = self.kernels.find(&kernel) {
            return Ok(known);
        }
        let row = predicted(grammar, &kernel);
        self.items += row.waiting.values().map(Vec::len).sum::<usize>() + kernel.items.len();
        if self.items > MAX_ITEMS {
            return Err(RowLimit::Rows(MAX_ITEMS as u64));
        }
        self.rows.push(row);
        Ok(self.kernels.intern(kernel))
    }

    /// The same item of the outermost rule that its rule's end would end, and nothing else.
    fn promote(&mut self, grammar: &mut Productions, slot: SlotId, origin: RowId) -> Item {
        match self.top(grammar, origin, grammar.slot(slot).rule) {
            Some((rule, origin)) => (grammar.rename(slot, rule), origin),
            None => (slot, origin),
        }
    }

    fn top(
        &mut self,
        grammar: &Productions,
        origin: RowId,
        rule: RuleId,
    ) -> Option<(RuleId, RowId)> {
        if let Some(known) = self.tops.get(&(origin, rule)) {
            return *known;
        }
        let (mut top, mut last) = (None, (rule, origin));
        for _ in 0..MAX_CHAIN {
            let Some(next) = self.only_end(grammar, last.1, last.0) else {
                break;
            };
            (top, last) = (Some(next), next);
        }
        self.tops.insert((origin, rule), top);
        top
    }

    /// The rule that ends where the given one does, if that is all that waits for it.
    fn only_end(&self, grammar: &Productions, row: RowId, rule: RuleId) -> Option<(RuleId, RowId)> {
        let mut behind = self.behind(row, Symbol::Rule(rule));
        let (slot, origin) = behind.next()?;
        let left = grammar.slot(slot);
        let is_only = behind.next().is_none() && left.next.is_none();
        is_only.then_some((left.rule, origin))
    }
}

fn hasher() -> std::hash::BuildHasherDefault<crate::hashing::IdHasher> {
    std::hash::BuildHasherDefault::default()
}

/// A row's items by what they wait for, those included that begin in it.
fn predicted(grammar: &Productions, kernel: &Kernel) -> Row {
    let mut row = Row {
        accepts: kernel.accepts,
        ..Row::default()
    };
    let mut begun = HashSet::<RuleId, _>::with_hasher(hasher());
    let mut agenda: Vec<Item> = kernel.items.to_vec();
    let mut seen = HashSet::<Item, _>::with_hasher(hasher());
    while let Some((slot, origin)) = agenda.pop() {
        let Some((symbol, rest)) = grammar.slot(slot).next else {
            continue;
        };
        if !seen.insert((slot, origin)) {
            continue;
        }
        row.waiting.entry(symbol).or_default().push((rest, origin));
        if grammar.is_nullable(symbol) && origin == RowId::SELF {
            agenda.push((rest, origin));
        }
        match symbol {
            Symbol::Terminal(terminal) => row.expected.push(terminal),
            Symbol::Rule(rule) if begun.insert(rule) => {
                let beginnings = grammar.beginnings[usize::from(rule)].iter();
                agenda.extend(beginnings.map(|slot| (*slot, RowId::SELF)));
            }
            Symbol::Rule(_) => {}
        }
    }
    row.expected.sort_unstable();
    row.expected.dedup();
    row
}
