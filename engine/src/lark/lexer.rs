//! Terminals as they are read: what is left of one, and what must not follow.
//!
//! A terminal is as long as it can be, as in Lark: where `/[a-z]+/` ends, no letter follows. So
//! whatever comes behind a terminal is read beside a *watch*: a language no member of which, but for
//! the empty text, may be a beginning of what follows. A text that runs into a member has ended its
//! terminal too early.

use std::sync::Arc;

use crate::charset::CharSet;
use crate::grammar::Exhausted;
use crate::hashing::IdMap;
use crate::regex::{RegexId, Regexes};

/// How many code points deep a watch is cut down to what it comes to.
const WATCH_DEPTH: u32 = 4;
/// Places that are cut down for one watch.
const MAX_CUTS: u32 = 500;
/// Places of one terminal that are looked at to learn how it can end.
const MAX_READINGS: usize = 1 << 14;
/// Steps between such places for all terminals of a grammar.
const MAX_EXPLORED: usize = 3_000_000;
/// Counts above this one are taken for endless in that.
const FAR: u32 = 1000;
/// Watches that one terminal may leave behind.
pub(super) const MAX_ENDINGS: usize = 128;

/// What is left of a terminal, and the watch of the one before.
#[derive(Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct Reading {
    pub rest: RegexId,
    pub watch: RegexId,
}

/// The code points that a place reads: which of ASCII, and whether any beyond.
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Alive {
    pub ascii: u128,
    pub beyond: bool,
}

impl Alive {
    /// Whether the code point may be read, as far as this tells.
    pub fn holds(self, code_point: u32) -> bool {
        match code_point {
            0..0x80 => self.ascii >> code_point & 1 == 1,
            _ => self.beyond,
        }
    }

    /// What either reads.
    pub fn union(self, other: Self) -> Self {
        Alive {
            ascii: self.ascii | other.ascii,
            beyond: self.beyond || other.beyond,
        }
    }
}

/// The arena of the terminals, and what is known of how they are read.
pub(super) struct Lexer {
    pub regexes: Regexes,
    continuations: IdMap<(RegexId, u32), RegexId>,
    endings: IdMap<Reading, Arc<[RegexId]>>,
    alive: IdMap<RegexId, Alive>,
    explored: usize,
    /// A limit that was reached; answers since do not count.
    pub exhausted: Option<Exhausted>,
}

impl Lexer {
    /// A lexer that has read nothing yet.
    pub fn new(regexes: Regexes) -> Self {
        Lexer {
            regexes,
            continuations: IdMap::default(),
            endings: IdMap::default(),
            alive: IdMap::default(),
            explored: 0,
            exhausted: None,
        }
    }

    /// The code points that may come next in the rest of a terminal.
    pub fn alive(&mut self, rest: RegexId) -> Alive {
        if let Some(known) = self.alive.get(&rest) {
            return *known;
        }
        let mut alive = Alive::default();
        for class in self.regexes.classes(rest).iter() {
            let Some(sample) = class.first() else {
                continue;
            };
            if self.regexes.derivative(rest, sample) != Regexes::NEVER {
                let ascii = class
                    .ranges()
                    .iter()
                    .flat_map(|&(low, high)| low..=high.min(0x7F));
                ascii.for_each(|c| alive.ascii |= 1 << c);
                alive.beyond |= class.ranges().last().is_some_and(|(_, high)| *high >= 0x80);
            }
        }
        self.alive.insert(rest, alive);
        alive
    }

    /// Where a code point leads, or None where it cannot be part of the terminal or is watched for.
    pub fn step(&mut self, at: Reading, code_point: u32) -> Option<Reading> {
        let rest = self.regexes.derivative(at.rest, code_point);
        if rest == Regexes::NEVER {
            return None;
        }
        let watch = self.regexes.derivative(at.watch, code_point);
        (!self.regexes.is_nullable(watch)).then_some(Reading { rest, watch })
    }

    /// The watch behind a terminal that ends here, or None if it cannot.
    pub fn watch_behind(&mut self, at: Reading) -> Option<RegexId> {
        if !self.regexes.is_nullable(at.rest) {
            return None;
        }
        let own = self.continuation(at.rest, WATCH_DEPTH, &mut { MAX_CUTS });
        Some(self.regexes.union(at.watch, own))
    }

    /// The shortest ways to go on to a longer member: equal for the many places of a long
    /// repetition.
    fn continuation(&mut self, rest: RegexId, depth: u32, cuts: &mut u32) -> RegexId {
        if let Some(known) = self.continuations.get(&(rest, depth)) {
            return *known;
        }
        if depth == 0 || *cuts == 0 {
            return rest; // which comes to the same, but is not equal to others
        }
        *cuts -= 1;
        let (mut ending, mut parts) = (CharSet::empty(), Vec::new());
        for class in self.regexes.classes(rest).iter() {
            let Some(sample) = class.first() else {
                continue;
            };
            let next = self.regexes.derivative(rest, sample);
            if self.regexes.is_nullable(next) {
                ending = ending.union(class);
            } else if next != Regexes::NEVER {
                let tail = self.continuation(next, depth - 1, cuts);
                let head = self.regexes.set(class.clone());
                parts.push(self.regexes.concat(head, tail));
            }
        }
        parts.push(self.regexes.set(ending));
        let continuation = self.regexes.union_all(parts);
        self.continuations.insert((rest, depth), continuation);
        continuation
    }

    /// The watches that may be left where the terminal ends, at least one code point later; none if
    /// it cannot end.
    pub fn endings(&mut self, at: Reading) -> Arc<[RegexId]> {
        if let Some(known) = self.endings.get(&at) {
            return Arc::clone(known);
        }
        let near = Reading {
            rest: self.regexes.near(at.rest, FAR),
            ..at
        };
        let endings = match self.endings.get(&near) {
            Some(known) => Arc::clone(known),
            None => self.explore(near),
        };
        self.endings.insert(at, Arc::clone(&endings));
        endings
    }

    /// Learns the endings of every place that a terminal leads to from here.
    fn explore(&mut self, start: Reading) -> Arc<[RegexId]> {
        let mut found = vec![start];
        let mut numbers = IdMap::from_iter([(start, 0)]);
        let (mut endings, mut next) = (Vec::<Vec<RegexId>>::new(), Vec::<Vec<usize>>::new());
        while endings.len() < found.len() {
            let (mut own, mut children) = (Vec::new(), Vec::new());
            for sample in self.samples(found[endings.len()]) {
                self.explored += 1;
                let Some(to) = self.step(found[endings.len()], sample) else {
                    continue;
                };
                own.extend(self.watch_behind(to));
                if let Some(known) = self.endings.get(&to) {
                    own.extend(known.iter().copied());
                } else if to.rest != Regexes::EMPTY {
                    children.push(*numbers.entry(to).or_insert_with(|| {
                        found.push(to);
                        found.len() - 1
                    }));
                }
            }
            own.sort_unstable();
            own.dedup();
            endings.push(own);
            next.push(children);
            if found.len() > MAX_READINGS || self.regexes.overflowed() {
                self.exhaust("max_readings", MAX_READINGS);
                return Arc::default();
            }
            if self.explored > MAX_EXPLORED {
                self.exhaust("max_explored_readings", MAX_EXPLORED);
                return Arc::default();
            }
        }
        self.propagate(&mut endings, &next);
        for (reading, endings) in found.iter().zip(&endings) {
            self.endings.insert(*reading, endings[..].into());
        }
        endings[0][..].into()
    }

    /// Adds to each place's endings those of the places that it leads to.
    fn propagate(&mut self, endings: &mut [Vec<RegexId>], next: &[Vec<usize>]) {
        let mut changed = true;
        while changed && self.exhausted.is_none() {
            changed = false;
            for place in (0..next.len()).rev() {
                let before = endings[place].len();
                for child in next[place].iter().filter(|child| **child != place) {
                    let theirs = endings[*child].clone();
                    let own = &mut endings[place];
                    own.extend(theirs);
                    own.sort_unstable();
                    own.dedup();
                }
                changed |= endings[place].len() != before;
                if endings[place].len() > MAX_ENDINGS {
                    self.exhaust("max_endings", MAX_ENDINGS);
                }
            }
        }
    }

    /// Ends the lexer's use for a limit.
    pub fn exhaust(&mut self, limit: &'static str, maximum: usize) {
        let maximum = maximum as u64;
        self.exhausted.get_or_insert(Exhausted { limit, maximum });
    }

    /// One code point for each way to go on.
    fn samples(&mut self, at: Reading) -> Vec<u32> {
        let classes = self.regexes.classes(at.rest);
        if at.watch == Regexes::NEVER {
            return classes.iter().filter_map(CharSet::first).collect();
        }
        let watched = self.regexes.classes(at.watch);
        let classes = refine(classes.to_vec(), &watched);
        classes.iter().filter_map(CharSet::first).collect()
    }
}

/// The nonempty intersections of the members of two partitions.
pub(super) fn refine(classes: Vec<CharSet>, others: &[CharSet]) -> Vec<CharSet> {
    let mut refined = Vec::with_capacity(classes.len());
    for class in &classes {
        let parts = others.iter().map(|other| class.intersection(other));
        refined.extend(parts.filter(|part| !part.is_empty()));
    }
    refined
}
