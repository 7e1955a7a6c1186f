//! Productions: the rules of a grammar without operators, cut into slots.
//!
//! A *slot* is what is left of a production when some of its symbols have been read: the next
//! symbol, the slot behind it, and the rule it belongs to. Slots with the same rest are one, whatever
//! came before.

use crate::formula::ids;
use crate::hashing::IdMap;
use crate::regex::RegexId;

ids! {
    /// A rule.
    RuleId,
    /// A terminal.
    TerminalId,
    /// What is left of a production.
    SlotId,
}

/// What stands in a production.
#[derive(Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) enum Symbol {
    Rule(RuleId),
    Terminal(TerminalId),
}

/// What is left of a production of a rule.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Slot {
    pub rule: RuleId,
    /// The symbol that comes next and what is left behind it; nothing at the end.
    pub next: Option<(Symbol, SlotId)>,
}

/// A grammar without operators.
pub(super) struct Productions {
    slots: Vec<Slot>,
    slot_ids: IdMap<(RuleId, Option<(Symbol, SlotId)>), SlotId>,
    renamed: IdMap<(SlotId, RuleId), SlotId>,
    /// By rule: its productions, from their first slots.
    pub beginnings: Vec<Vec<SlotId>>,
    /// By rule: whether it may be empty.
    pub nullable: Vec<bool>,
    /// By terminal: its language, without the empty text.
    pub terminals: Vec<RegexId>,
    /// Terminals from this one on may stand between any two others.
    pub first_ignored: TerminalId,
}

impl Productions {
    /// The rule of whole texts; its only symbol is `start`.
    pub const WHOLE: RuleId = RuleId(0);

    /// Rules without productions.
    pub fn new(rules: usize) -> Self {
        Productions {
            slots: Vec::new(),
            slot_ids: IdMap::default(),
            renamed: IdMap::default(),
            beginnings: vec![Vec::new(); rules],
            nullable: Vec::new(),
            terminals: Vec::new(),
            first_ignored: TerminalId(0),
        }
    }

    /// The slot with an id.
    pub fn slot(&self, id: SlotId) -> Slot {
        self.slots[usize::from(id)]
    }

    fn intern(&mut self, slot: Slot) -> SlotId {
        *self
            .slot_ids
            .entry((slot.rule, slot.next))
            .or_insert_with(|| {
                self.slots.push(slot);
                SlotId::from(self.slots.len() - 1)
            })
    }

    /// The slot with the same symbols, of another rule.
    pub fn rename(&mut self, id: SlotId, rule: RuleId) -> SlotId {
        let slot = self.slot(id);
        if slot.rule == rule {
            return id;
        }
        if let Some(known) = self.renamed.get(&(id, rule)) {
            return *known;
        }
        let (mut symbols, mut rest) = (Vec::new(), slot);
        while let Some((symbol, behind)) = rest.next {
            symbols.push(symbol);
            rest = self.slot(behind);
        }
        let renamed = self.slot_of(rule, &symbols);
        self.renamed.insert((id, rule), renamed);
        renamed
    }

    /// The slot before some symbols of a rule.
    pub fn slot_of(&mut self, rule: RuleId, symbols: &[Symbol]) -> SlotId {
        let end = self.intern(Slot { rule, next: None });
        symbols.iter().rev().fold(end, |rest, symbol| {
            let next = Some((*symbol, rest));
            self.intern(Slot { rule, next })
        })
    }

    /// Whether a symbol may be empty.
    pub fn is_nullable(&self, symbol: Symbol) -> bool {
        matches!(symbol, Symbol::Rule(rule) if self.nullable[usize::from(rule)])
    }

    /// Learns which rules may be empty.
    pub fn settle_nullable(&mut self) {
        self.nullable = vec![false; self.beginnings.len()];
        let mut users: Vec<Vec<RuleId>> = vec![Vec::new(); self.beginnings.len()];
        for slot in &self.slots {
            if let Some((Symbol::Rule(used), _)) = slot.next {
                users[usize::from(used)].push(slot.rule);
            }
        }
        let mut agenda: Vec<usize> = (0..self.beginnings.len()).collect();
        while let Some(rule) = agenda.pop() {
            let is_new = !self.nullable[rule] && {
                let mut beginnings = self.beginnings[rule].iter();
                beginnings.any(|slot| self.is_slot_nullable(*slot))
            };
            if is_new {
                self.nullable[rule] = true;
                agenda.extend(users[rule].iter().map(|user| usize::from(*user)));
            }
        }
    }

    fn is_slot_nullable(&self, mut id: SlotId) -> bool {
        while let Some((symbol, rest)) = self.slot(id).next {
            if !self.is_nullable(symbol) {
                return false;
            }
            id = rest;
        }
        true
    }
}
