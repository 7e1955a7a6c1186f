//! Whether a text can still end: what rules leave behind, watches included.
//!
//! Watches make some ways of a grammar lead nowhere, such as a name before a letter. For a slot and
//! the watch before it, all watches that may be left behind it are tabled (a search over pairs that
//! terminates, whatever the recursion). A place is useful if through some of them the whole text
//! can end.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use super::lexer::{Lexer, MAX_ENDINGS, Reading};
use super::production::{Productions, RuleId, SlotId, Symbol, TerminalId};
use super::row::{RowId, Rows};
use crate::grammar::Exhausted;
use crate::hashing::{IdHasher, IdMap};
use crate::regex::RegexId;

/// Pairs that are looked at for one grammar.
const MAX_STATES: usize = 600_000;

/// What a question is about.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
enum Subject {
    Rule(RuleId),
    Slot(SlotId),
}

/// The watches that may be left behind a subject, and who asks.
#[derive(Default)]
struct Entry {
    left: Vec<RegexId>,
    /// Where the asking entries go on.
    asking: Vec<(SlotId, usize)>,
}

/// All that is known of what can follow.
#[derive(Default)]
pub(super) struct Future {
    entries: Vec<Entry>,
    numbers: IdMap<(Subject, RegexId), usize>,
    agenda: Vec<(SlotId, RegexId, usize)>,
    seen: HashSet<(SlotId, RegexId, usize), BuildHasherDefault<IdHasher>>,
    between: IdMap<RegexId, Arc<[RegexId]>>,
    terminals: IdMap<(TerminalId, RegexId), Arc<[RegexId]>>,
    behind_terminal: IdMap<(RowId, TerminalId, RegexId), bool>,
    behind_ignored: IdMap<(RowId, RegexId), bool>,
    behind_rule: IdMap<(RowId, RuleId, RegexId), bool>,
    /// A limit that was reached; answers since do not count.
    pub exhausted: Option<Exhausted>,
    /// Work done so far.
    pub spent: u64,
}

/// A grammar as it is being read.
pub(super) struct Reader<'a> {
    pub grammar: &'a Productions,
    pub lexer: &'a mut Lexer,
    pub rows: &'a Rows,
}

impl Future {
    /// Pairs that have been looked at.
    pub fn size(&self) -> usize {
        self.seen.len() + self.behind_terminal.len() + self.behind_rule.len()
    }

    /// Whether the whole text can end after the rest of a terminal that began in a row.
    pub fn is_useful(
        &mut self,
        reader: &mut Reader,
        row: RowId,
        terminal: TerminalId,
        at: Reading,
    ) -> bool {
        let endings = reader.lexer.endings(at);
        let is_ignored = terminal >= reader.grammar.first_ignored;
        endings.iter().any(|watch| match is_ignored {
            true => self.is_useful_behind_ignored(reader, row, *watch),
            false => self.is_useful_behind(reader, row, terminal, *watch),
        })
    }

    /// Whether the whole text can end after ignored text in a row, or with it.
    fn is_useful_behind_ignored(
        &mut self,
        reader: &mut Reader,
        row: RowId,
        watch: RegexId,
    ) -> bool {
        if let Some(known) = self.behind_ignored.get(&(row, watch)) {
            return *known;
        }
        let expected = reader.rows.expected(row).to_vec();
        let useful = reader.rows.accepts(row)
            || expected.into_iter().any(|terminal| {
                let left = self.behind(reader, terminal, watch);
                left.iter()
                    .any(|watch| self.is_useful_behind(reader, row, terminal, *watch))
            });
        self.behind_ignored.insert((row, watch), useful);
        useful
    }

    /// Whether the whole text can end after a terminal that a row expects.
    fn is_useful_behind(
        &mut self,
        reader: &mut Reader,
        row: RowId,
        terminal: TerminalId,
        watch: RegexId,
    ) -> bool {
        if let Some(known) = self.behind_terminal.get(&(row, terminal, watch)) {
            return *known;
        }
        let useful = self.search(reader, row, terminal, watch);
        self.behind_terminal.insert((row, terminal, watch), useful);
        useful
    }

    /// Looks for a way out through the ends of the rules around.
    fn search(
        &mut self,
        reader: &mut Reader,
        row: RowId,
        terminal: TerminalId,
        watch: RegexId,
    ) -> bool {
        let first = self.ends(reader, row, Symbol::Terminal(terminal), watch);
        let mut open: Vec<(RowId, RuleId, RegexId, usize)> = Vec::new();
        let mut seen = HashSet::<_, BuildHasherDefault<IdHasher>>::default();
        let mut path: Vec<((RowId, RuleId, RegexId), usize)> = Vec::new();
        open.extend(
            first
                .into_iter()
                .map(|(row, rule, watch)| (row, rule, watch, usize::MAX)),
        );
        while let Some((row, rule, watch, parent)) = open.pop() {
            let key = (row, rule, watch);
            if !seen.insert(key) || self.behind_rule.get(&key) == Some(&false) {
                continue;
            }
            path.push((key, parent));
            if rule == Productions::WHOLE || self.behind_rule.get(&key) == Some(&true) {
                let mut place = path.len() - 1;
                while place != usize::MAX {
                    self.behind_rule.insert(path[place].0, true);
                    place = path[place].1;
                }
                return true;
            }
            let place = path.len() - 1;
            let ends = self.ends(reader, row, Symbol::Rule(rule), watch);
            open.extend(
                ends.into_iter()
                    .map(|(row, rule, watch)| (row, rule, watch, place)),
            );
        }
        let hopeless = path.iter().map(|(key, _)| (*key, false));
        self.behind_rule.extend(hopeless);
        false
    }

    /// The rules that can end after a symbol in a row, with the rows that they began in and the
    /// watches that are left.
    fn ends(
        &mut self,
        reader: &mut Reader,
        row: RowId,
        symbol: Symbol,
        watch: RegexId,
    ) -> Vec<(RowId, RuleId, RegexId)> {
        let mut ends = Vec::new();
        let behind: Vec<_> = reader.rows.behind(row, symbol).collect();
        for (slot, origin) in behind {
            let rule = reader.grammar.slot(slot).rule;
            let entry = self.ask(reader, Subject::Slot(slot), watch);
            self.settle(reader);
            let left = self.entries[entry].left.iter();
            ends.extend(left.map(|watch| (origin, rule, *watch)));
        }
        ends
    }

    /// The entry of a subject behind a watch.
    fn ask(&mut self, reader: &Reader, subject: Subject, watch: RegexId) -> usize {
        if let Some(known) = self.numbers.get(&(subject, watch)) {
            return *known;
        }
        let number = self.entries.len();
        self.entries.push(Entry::default());
        self.numbers.insert((subject, watch), number);
        match subject {
            Subject::Slot(slot) => self.agenda.push((slot, watch, number)),
            Subject::Rule(rule) => {
                let beginnings = reader.grammar.beginnings[usize::from(rule)].iter();
                self.agenda
                    .extend(beginnings.map(|slot| (*slot, watch, number)));
            }
        }
        number
    }

    /// Works on all entries until nothing changes.
    fn settle(&mut self, reader: &mut Reader) {
        while let Some((slot, watch, entry)) = self.agenda.pop() {
            if !self.seen.insert((slot, watch, entry)) {
                continue;
            }
            self.spent += 1;
            if self.seen.len() > MAX_STATES {
                let (limit, maximum) = ("max_watch_states", MAX_STATES as u64);
                self.exhausted.get_or_insert(Exhausted { limit, maximum });
                return;
            }
            match reader.grammar.slot(slot).next {
                None => self.leave(entry, watch),
                Some((Symbol::Terminal(terminal), rest)) => {
                    let left = self.behind(reader, terminal, watch);
                    self.agenda
                        .extend(left.iter().map(|watch| (rest, *watch, entry)));
                }
                Some((Symbol::Rule(rule), rest)) => {
                    let asked = self.ask(reader, Subject::Rule(rule), watch);
                    self.entries[asked].asking.push((rest, entry));
                    let left = self.entries[asked].left.iter();
                    self.agenda.extend(left.map(|watch| (rest, *watch, entry)));
                }
            }
        }
    }

    fn leave(&mut self, entry: usize, watch: RegexId) {
        let entry = &mut self.entries[entry];
        if entry.left.contains(&watch) {
            return;
        }
        entry.left.push(watch);
        let asking = entry.asking.iter();
        self.agenda
            .extend(asking.map(|(slot, asking)| (*slot, watch, *asking)));
    }

    /// The watches that may be left behind a terminal, ignored text before it included.
    fn behind(
        &mut self,
        reader: &mut Reader,
        terminal: TerminalId,
        watch: RegexId,
    ) -> Arc<[RegexId]> {
        if let Some(known) = self.terminals.get(&(terminal, watch)) {
            return Arc::clone(known);
        }
        let rest = reader.grammar.terminals[usize::from(terminal)];
        let mut left = Vec::new();
        for watch in self.between(reader, watch).iter().copied() {
            left.extend_from_slice(&reader.lexer.endings(Reading { rest, watch }));
        }
        left.sort_unstable();
        left.dedup();
        let left: Arc<[RegexId]> = left.into();
        self.terminals.insert((terminal, watch), Arc::clone(&left));
        left
    }

    /// The watches that may be left after any ignored text.
    fn between(&mut self, reader: &mut Reader, watch: RegexId) -> Arc<[RegexId]> {
        if let Some(known) = self.between.get(&watch) {
            return Arc::clone(known);
        }
        let (mut found, mut next) = (vec![watch], 0);
        let first_ignored = usize::from(reader.grammar.first_ignored);
        while next < found.len() && reader.lexer.exhausted.is_none() {
            for rest in &reader.grammar.terminals[first_ignored..] {
                let at = Reading {
                    rest: *rest,
                    watch: found[next],
                };
                for left in reader.lexer.endings(at).iter() {
                    if !found.contains(left) {
                        found.push(*left);
                    }
                }
            }
            next += 1;
            if found.len() > MAX_ENDINGS {
                reader.lexer.exhaust("max_endings", MAX_ENDINGS);
            }
        }
        let found: Arc<[RegexId]> = found.into();
        self.between.insert(watch, Arc::clone(&found));
        found
    }
}
