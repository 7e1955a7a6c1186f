//! The character machine of a grammar.
//!
//! A place is a set of *threads*, each a terminal that is being read: the row it began in, what is
//! left of it, and the watch of the one before. Where a terminal may end, the items that waited for
//! it make a new row, and threads of all that the row expects stand beside those that go on.

use std::sync::Arc;

use super::future::{Future, Reader};
use super::lexer::{Alive, Lexer, Reading, refine};
use super::production::{Productions, Symbol, TerminalId};
use super::row::{Item, RowId, RowLimit, Rows};
use crate::charset::{CharSet, MAX_CODE_POINT};
use crate::error::EngineError;
use crate::formula::Interner;
use crate::grammar::{Exhausted, MASK_FUEL};
use crate::hashing::IdMap;
use crate::index::Budget;
use crate::regex::{RegexId, Regexes};
use crate::text::{CharacterMachine, MAX_REGEX_NODES, Place, too_large};

/// Threads that a place may have.
const MAX_THREADS: usize = 8000;
/// Threads of all places together.
const MAX_ALL_THREADS: usize = 2_000_000;

/// About how many bytes a thread, an item of a row and a question about the future take.
const THREAD_BYTES: usize = 32;
const ITEM_BYTES: usize = 40;
const STATE_BYTES: usize = 48;
/// Threads that are remembered to be useful or not.
const MAX_JUDGED: usize = 1 << 19;

/// A terminal that is being read.
#[derive(Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
struct Thread {
    row: RowId,
    terminal: TerminalId,
    at: Reading,
}

/// Where a text stands between two code points.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
struct Threads {
    threads: Box<[Thread]>,
    may_end: bool,
}

/// A grammar, and all that has been met of it.
pub(super) struct GrammarMachine {
    grammar: Productions,
    lexer: Lexer,
    rows: Rows,
    future: Future,
    places: Interner<Threads, Place>,
    /// By place: what its threads read, one by one and together.
    alive: Vec<(Box<[Alive]>, Alive)>,
    useful: IdMap<Thread, bool>,
    start: Place,
    threads: usize,
    spent: u64,
    fuel: u64,
    /// The limit of one byte or mask that was reached.
    exhausted: Option<Exhausted>,
    /// The limit of the whole machine that was reached.
    broken: Option<Exhausted>,
}

/// A place in the making.
#[derive(Default)]
struct Draft {
    threads: Vec<Thread>,
    may_end: bool,
}

/// What has ended at a code point.
#[derive(Default)]
struct Ended {
    /// Items behind their terminal, by the watch that is left.
    items: Vec<(RegexId, Vec<Item>)>,
    /// Rows that ignored text leads back to.
    rows: Vec<(RegexId, RowId)>,
}

impl GrammarMachine {
    /// The machine of a grammar.
    ///
    /// # Errors
    ///
    /// `Unsupported` if it has no text, `TooLarge` for a limit.
    pub fn new(
        grammar: Productions,
        regexes: Regexes,
        budget: &Budget,
    ) -> Result<Self, EngineError> {
        let mut machine = GrammarMachine {
            grammar,
            lexer: Lexer::new(regexes),
            rows: Rows::new(),
            future: Future::default(),
            places: Interner::default(),
            alive: Vec::new(),
            useful: IdMap::default(),
            start: Place(0),
            threads: 0,
            spent: 0,
            fuel: budget.compile_fuel,
            exhausted: None,
            broken: None,
        };
        let start = machine.first_place();
        if let Some(Exhausted { limit, maximum }) = machine.limit_reached() {
            let is_fuel = limit == MASK_FUEL;
            let limit = if is_fuel { "compile_fuel" } else { limit };
            return Err(too_large(limit, maximum));
        }
        machine.start = start.ok_or_else(|| EngineError::Unsupported {
            pointer: String::new(),
            keyword: "start".into(),
            reason: "has no text: what follows a terminal could always be part of it, or a rule \
                     has no end"
                .into(),
        })?;
        machine.refuel(budget.mask_fuel);
        Ok(machine)
    }

    fn first_place(&mut self) -> Option<Place> {
        let beginnings = &self.grammar.beginnings[usize::from(Productions::WHOLE)];
        let items = beginnings.iter().map(|slot| (*slot, RowId::ROOT)).collect();
        let row = self.close(items)?;
        let mut draft = Draft {
            may_end: self.rows.accepts(row),
            ..Draft::default()
        };
        self.begin(row, Regexes::NEVER, &mut draft);
        self.settle(draft)
    }

    fn close(&mut self, items: Vec<Item>) -> Option<RowId> {
        let fuel = (&mut self.spent, self.fuel);
        match self.rows.close(&mut self.grammar, items, fuel) {
            Ok(row) => Some(row),
            Err(RowLimit::Fuel) => None,
            Err(RowLimit::Items(maximum)) => {
                self.exhausted = Some(Exhausted {
                    limit: "max_row_items",
                    maximum,
                });
                None
            }
            Err(RowLimit::Rows(maximum)) => {
                self.broken = Some(Exhausted {
                    limit: "max_items",
                    maximum,
                });
                None
            }
        }
    }

    /// Adds threads of all that a row expects.
    fn begin(&mut self, row: RowId, watch: RegexId, draft: &mut Draft) {
        for terminal in self.rows.expected(row).to_vec() {
            self.add(row, terminal, watch, draft);
        }
    }

    /// Adds threads of the ignored texts that may come behind a terminal, unless it is the last.
    fn begin_ignored(&mut self, row: RowId, watch: RegexId, draft: &mut Draft) {
        if self.rows.expected(row).is_empty() {
            return;
        }
        let ignored = usize::from(self.grammar.first_ignored)..self.grammar.terminals.len();
        for terminal in ignored {
            self.add(row, TerminalId::from(terminal), watch, draft);
        }
    }

    fn add(&mut self, row: RowId, terminal: TerminalId, watch: RegexId, draft: &mut Draft) {
        let rest = self.grammar.terminals[usize::from(terminal)];
        let at = Reading { rest, watch };
        self.keep(Thread { row, terminal, at }, draft);
    }

    /// Adds a thread through which the text can still end.
    fn keep(&mut self, thread: Thread, draft: &mut Draft) {
        self.spent += 1;
        let useful = match self.useful.get(&thread) {
            Some(known) => *known,
            None => self.judge(thread),
        };
        if useful {
            draft.threads.push(thread);
        }
    }

    fn judge(&mut self, thread: Thread) -> bool {
        let Thread { row, terminal, at } = thread;
        let mut reader = Reader {
            grammar: &self.grammar,
            lexer: &mut self.lexer,
            rows: &self.rows,
        };
        let useful = self.future.is_useful(&mut reader, row, terminal, at);
        self.broken = self
            .broken
            .or(self.lexer.exhausted)
            .or(self.future.exhausted);
        if self.useful.len() > MAX_JUDGED {
            self.useful.clear();
        }
        self.useful.insert(thread, useful);
        useful
    }

    /// The place of a draft; None if nothing can follow and the text may not end.
    fn settle(&mut self, draft: Draft) -> Option<Place> {
        let Draft {
            mut threads,
            may_end,
        } = draft;
        threads.sort_unstable();
        threads.dedup();
        if threads.len() > MAX_THREADS {
            self.exhausted = Some(Exhausted {
                limit: "max_threads",
                maximum: MAX_THREADS as u64,
            });
        }
        if self.limit_reached().is_some() || threads.is_empty() && !may_end {
            return None;
        }
        let count = threads.len() + 1;
        let known = self.places.find(&Threads {
            threads: threads.clone().into(),
            may_end,
        });
        if known.is_some() {
            return known;
        }
        self.threads += count;
        if self.threads > MAX_ALL_THREADS {
            self.broken = Some(Exhausted {
                limit: "max_places",
                maximum: MAX_ALL_THREADS as u64,
            });
        }
        let alive = threads
            .iter()
            .map(|thread| self.lexer.alive(thread.at.rest));
        let alive: Box<[Alive]> = alive.collect();
        let all = alive.iter().copied().fold(Alive::default(), Alive::union);
        self.alive.push((alive, all));
        let threads = threads.into();
        Some(self.places.intern(Threads { threads, may_end }))
    }

    /// What has ended with a thread's code point.
    fn end(&mut self, thread: Thread, ended: &mut Ended) {
        let Some(watch) = self.lexer.watch_behind(thread.at) else {
            return;
        };
        if thread.terminal >= self.grammar.first_ignored {
            ended.rows.push((watch, thread.row));
            return;
        }
        let behind = self
            .rows
            .behind(thread.row, Symbol::Terminal(thread.terminal));
        match ended.items.iter_mut().find(|(known, _)| *known == watch) {
            Some((_, items)) => items.extend(behind),
            None => ended.items.push((watch, behind.collect())),
        }
    }

    /// Begins all that may follow what has ended.
    fn go_on(&mut self, mut ended: Ended, draft: &mut Draft) {
        for (watch, items) in ended.items {
            let Some(row) = self.close(items) else {
                return;
            };
            ended.rows.push((watch, row));
        }
        ended.rows.sort_unstable();
        ended.rows.dedup();
        for (watch, row) in ended.rows {
            draft.may_end |= self.rows.accepts(row);
            self.begin(row, watch, draft);
            self.begin_ignored(row, watch, draft);
        }
    }
}

impl CharacterMachine for GrammarMachine {
    fn start(&self) -> Place {
        self.start
    }

    fn step(&mut self, at: Place, code_point: u32) -> Option<Place> {
        let (alive, any) = &self.alive[usize::from(at)];
        self.spent += 1;
        if !any.holds(code_point) {
            return None;
        }
        let place = Arc::clone(self.places.get(at));
        let readers = place.threads.iter().zip(alive);
        let readers = readers.filter(|(_, alive)| alive.holds(code_point));
        let readers: Vec<Thread> = readers.map(|(thread, _)| *thread).collect();
        let (mut draft, mut ended) = (Draft::default(), Ended::default());
        self.spent += readers.len() as u64;
        for thread in &readers {
            let Some(at) = self.lexer.step(thread.at, code_point) else {
                continue;
            };
            let thread = Thread { at, ..*thread };
            if at.rest != Regexes::EMPTY {
                self.keep(thread, &mut draft);
            }
            self.end(thread, &mut ended);
        }
        self.go_on(ended, &mut draft);
        self.settle(draft)
    }

    fn classes(&mut self, at: Place) -> Vec<CharSet> {
        let (alive, any) = &self.alive[usize::from(at)];
        if !any.beyond {
            return Vec::new();
        }
        let place = Arc::clone(self.places.get(at));
        let mut readings: Vec<RegexId> = Vec::new();
        for (thread, _) in place
            .threads
            .iter()
            .zip(alive)
            .filter(|(_, alive)| alive.beyond)
        {
            readings.extend([thread.at.rest, thread.at.watch]);
        }
        readings.sort_unstable();
        readings.dedup();
        let mut classes = vec![CharSet::from_ranges([(0x80, MAX_CODE_POINT)])];
        for reading in readings {
            let others = self.lexer.regexes.classes(reading);
            if others.iter().filter(|class| !is_ascii(class)).count() > 1 {
                classes = refine(classes, &others);
            }
        }
        classes
    }

    fn may_end(&self, at: Place) -> bool {
        self.places.get(at).may_end
    }

    fn near(&mut self, at: Place, reach: u32) -> Place {
        let place = Arc::clone(self.places.get(at));
        let mut threads = place.threads.to_vec();
        for thread in &mut threads {
            thread.at.rest = self.lexer.regexes.near(thread.at.rest, reach);
        }
        let draft = Draft {
            threads,
            may_end: place.may_end,
        };
        self.settle(draft).unwrap_or(at)
    }

    fn refuel(&mut self, fuel: u64) {
        self.fuel = fuel;
        self.spent = 0;
        self.future.spent = 0;
        self.exhausted = None;
    }

    fn fuel_left(&self) -> u64 {
        self.fuel.saturating_sub(self.spent + self.future.spent)
    }

    fn is_full(&self) -> bool {
        self.broken.is_some() || self.lexer.regexes.overflowed()
    }

    fn learnt_bytes(&self) -> usize {
        self.lexer.regexes.bytes()
            + self.rows.size() * ITEM_BYTES
            + (self.threads + self.useful.len()) * THREAD_BYTES
            + self.future.size() * STATE_BYTES
    }

    fn limit_reached(&self) -> Option<Exhausted> {
        if self.lexer.regexes.overflowed() {
            return Some(Exhausted {
                limit: "max_regex_nodes",
                maximum: MAX_REGEX_NODES as u64,
            });
        }
        let out_of_fuel = self.spent + self.future.spent > self.fuel;
        let fuel = out_of_fuel.then_some(Exhausted {
            limit: MASK_FUEL,
            maximum: self.fuel,
        });
        self.broken.or(self.exhausted).or(fuel)
    }
}

/// Whether a set has no code point beyond ASCII.
fn is_ascii(set: &CharSet) -> bool {
    set.ranges().last().is_none_or(|(_, high)| *high < 0x80)
}
