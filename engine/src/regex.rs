//! Extended regular expressions over code points, run by memoised derivatives.
//!
//! All assertions on one string value (pattern, format, enum, length, property names) become one
//! expression with union, intersection and complement. Expressions are hash-consed nodes of an
//! arena, so that equal expressions have equal ids and a derivative is computed once per node and
//! class of code points: Owens, Reppy and Turon, "Regular-expression derivatives re-examined"
//! (2009). Counted repetitions stay one node with two numbers.
//!
//! `node` has the nodes and what is known of one as soon as it is made (nullability, lengths),
//! `construct` the constructors, which simplify, `partition` the classes of code points that a node
//! tells apart, `derive` the derivatives, `first` what members begin with, `alphabet` the classes that no derivative tells apart, `search` emptiness and shortest members, `near` what a few
//! code points cannot tell apart.

mod alphabet;
mod construct;
mod derive;
mod first;
mod hashing;
mod near;
mod node;
mod partition;
mod search;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use crate::charset::CharSet;
pub use alphabet::Alphabet;
use hashing::{FastHash, Slots};
use node::{Emptiness, Facts, Node, Words};
use partition::{PartitionId, Partitions};

/// Names an expression of one [`Regexes`] arena.
#[derive(Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RegexId(u32);

/// Small steps, of some 15 ns each, that a unit of fuel pays for.
pub(crate) const STEPS: u64 = 64;

/// Marks a derivative that is not computed yet.
const UNKNOWN: RegexId = RegexId(u32::MAX);

impl RegexId {
    /// The expression with a number that `index` gave.
    pub(crate) fn at(index: usize) -> Self {
        RegexId(index as u32)
    }

    /// Its number in the arena.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A question used up its fuel, or the arena its nodes, before the answer was known.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct OutOfFuel;

/// Where a node's derivatives lie: one per class of its partition.
#[derive(Copy, Clone)]
struct Row {
    partition: PartitionId,
    start: u32,
}

/// An arena of expressions with everything that was learnt about them.
pub struct Regexes {
    /// How much the arena may hold, in nodes; large nodes and tables count as several.
    pub max_nodes: usize,
    used: usize,
    overflowed: bool,
    /// Work that may still be done, in steps: derivatives and new nodes take a unit of `STEPS`, large
    /// ones several.
    fuel: u64,
    starved: bool,
    nodes: Vec<Node>,
    facts: Vec<Facts>,
    rows: Vec<Row>,
    targets: Vec<RegexId>,
    ids: Slots,
    words: Vec<Arc<Words>>,
    rules: Vec<RegexId>,
    partitions: Partitions,
    self_loops: HashMap<RegexId, CharSet, FastHash>,
    /// None where there are too many classes.
    deep_partitions: HashMap<RegexId, Option<PartitionId>, FastHash>,
}

/// Members that a set may have to be listed.
const MAX_LISTED: u32 = 96;

/// Code points up to which members are counted.
const MAX_COUNTED: u32 = 64;

fn list_set(set: &CharSet, found: &mut Vec<u32>) -> bool {
    let sizes = set.ranges().iter().map(|(low, high)| high - low + 1);
    let is_small = sizes.fold(0u32, u32::saturating_add) <= MAX_LISTED;
    if is_small {
        found.extend(set.ranges().iter().flat_map(|(low, high)| *low..=*high));
    }
    is_small
}

impl Default for Regexes {
    fn default() -> Self {
        Self::new()
    }
}

impl Regexes {
    /// No string.
    pub const NEVER: RegexId = RegexId(0);
    /// Only the empty string.
    pub const EMPTY: RegexId = RegexId(1);
    /// Any one code point.
    pub const ANY: RegexId = RegexId(2);
    /// Every string.
    pub const ALWAYS: RegexId = RegexId(3);

    /// An arena that holds the constants only.
    pub fn new() -> Self {
        let mut arena = Self {
            max_nodes: 200_000,
            used: 0,
            overflowed: false,
            fuel: u64::MAX,
            starved: false,
            nodes: Vec::new(),
            facts: Vec::new(),
            rows: Vec::new(),
            targets: Vec::new(),
            ids: Slots::default(),
            words: Vec::new(),
            rules: Vec::new(),
            partitions: Partitions::new(),
            self_loops: HashMap::default(),
            deep_partitions: HashMap::default(),
        };
        arena.intern(Node::Never);
        arena.intern(Node::Empty);
        arena.intern(Node::Set(CharSet::all()));
        arena.intern(Node::Repeat {
            body: Self::ANY,
            low: 0,
            high: node::UNBOUNDED,
        });
        arena
    }

    /// Whether the arena was full once; every answer since then is void.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Whether answers are void: the arena was full once, or the fuel is used up. None is kept.
    #[inline]
    pub fn is_void(&self) -> bool {
        self.overflowed || self.starved
    }

    /// Whether the fuel is used up.
    pub fn starved(&self) -> bool {
        self.starved
    }

    /// Gives fuel for the next piece of work; what was kept of earlier ones is right.
    pub fn refuel(&mut self, fuel: u64) {
        (self.fuel, self.starved) = (fuel.saturating_mul(STEPS), false);
    }

    /// Burns fuel; false once it is used up.
    #[inline]
    pub fn spend(&mut self, units: u64) -> bool {
        self.take_steps(units.saturating_mul(STEPS))
    }

    /// Burns fuel for small steps, such as looking at one part of a formula; false once it is used
    /// up.
    #[inline]
    pub fn spend_steps(&mut self, steps: usize) -> bool {
        self.take_steps(steps as u64)
    }

    #[inline]
    fn take_steps(&mut self, steps: u64) -> bool {
        match self.fuel.checked_sub(steps) {
            Some(left) => self.fuel = left,
            None => (self.fuel, self.starved) = (0, true),
        }
        !self.starved
    }

    /// About how many bytes the arena takes.
    pub fn bytes(&self) -> usize {
        const NODE: usize = 128;
        NODE * self.used
    }

    /// The fuel that is left.
    pub fn fuel(&self) -> u64 {
        self.fuel / STEPS
    }

    /// How much of `max_nodes` is in use.
    #[cfg(test)]
    pub fn size(&self) -> usize {
        self.used
    }

    /// Whether the empty string is a member.
    pub fn is_nullable(&self, id: RegexId) -> bool {
        self.facts[id.index()].nullable
    }

    /// Bounds in code points on the lengths of members (not always tight); `None`: no upper bound.
    pub fn length_bounds(&self, id: RegexId) -> (u32, Option<u32>) {
        let facts = &self.facts[id.index()];
        (
            facts.min,
            (facts.max != node::UNBOUNDED).then_some(facts.max),
        )
    }

    /// Adds the code points outside of which all derivatives agree; false where they are many.
    pub fn list_exceptions(&self, id: RegexId, found: &mut Vec<u32>) -> bool {
        match &self.nodes[id.index()] {
            Node::Never | Node::Empty => true,
            Node::Set(set) => list_set(set, found) || list_set(&set.complement(), found),
            Node::Words { .. } => {
                let words = self.word_ends(id).into_iter().flatten();
                let next = words.filter_map(|word| word.chars().next());
                let mut next: Vec<u32> = next.map(u32::from).collect();
                next.dedup(); // words are sorted
                found.extend(next);
                true
            }
            Node::Concat(head, tail) => {
                self.list_exceptions(*head, found)
                    && (!self.is_nullable(*head) || self.list_exceptions(*tail, found))
            }
            Node::Repeat { body, .. } => self.list_exceptions(*body, found),
            Node::Union(children) | Node::Intersection(children) => children
                .iter()
                .all(|child| self.list_exceptions(*child, found)),
            Node::Complement(child) => self.list_exceptions(*child, found),
            Node::Rule(_) => false,
        }
    }

    /// The only member, where that is plain to see and not longer than so many code points.
    pub fn only_text(&self, id: RegexId, longest: u32) -> Option<String> {
        if self.length_bounds(id).1.is_none_or(|most| most > longest) {
            return None;
        }
        let (mut text, mut rest) = (String::new(), id);
        while let Node::Concat(head, tail) = &self.nodes[rest.index()] {
            self.push_only(*head, &mut text)?;
            rest = *tail;
        }
        self.push_only(rest, &mut text)?;
        Some(text)
    }

    /// Appends the only member of a part that is no concatenation.
    fn push_only(&self, id: RegexId, text: &mut String) -> Option<()> {
        match &self.nodes[id.index()] {
            Node::Empty => {}
            Node::Set(set) => text.push(set.only()?),
            Node::Repeat { body, low, high } if low == high => {
                let Node::Set(set) = &self.nodes[body.index()] else {
                    return None;
                };
                text.extend(std::iter::repeat_n(set.only()?, *low as usize));
            }
            _ => return None,
        }
        Some(())
    }

    /// The words of a list, where the language is one, or of what else it must be in.
    pub fn listed(&self, id: RegexId) -> Option<Vec<&str>> {
        match &self.nodes[id.index()] {
            Node::Words { .. } => Some(self.word_ends(id)?.collect()),
            Node::Intersection(parts) => {
                let each = parts.iter().filter_map(|part| self.listed(*part));
                each.min_by_key(Vec::len)
            }
            _ => None,
        }
    }

    /// What is left of the words of a list, in their order; None for other expressions.
    fn word_ends(&self, id: RegexId) -> Option<impl Iterator<Item = &str>> {
        let Node::Words {
            list,
            from,
            to,
            depth,
        } = &self.nodes[id.index()]
        else {
            return None;
        };
        let words = &self.words[*list as usize].words[*from as usize..*to as usize];
        Some(words.iter().map(|word| &word[*depth as usize..]))
    }

    /// At most so many members; None where they are endless or hard to count.
    pub fn most_members(&self, id: RegexId) -> Option<u64> {
        if self
            .length_bounds(id)
            .1
            .is_none_or(|longest| longest > MAX_COUNTED)
        {
            return None;
        }
        match &self.nodes[id.index()] {
            Node::Never => Some(0),
            Node::Empty => Some(1),
            Node::Set(set) => {
                let sizes = set.ranges().iter().map(|(low, high)| high - low + 1);
                Some(sizes.map(u64::from).sum())
            }
            Node::Words { from, to, .. } => Some(u64::from(to - from)),
            Node::Concat(head, tail) => {
                let (head, tail) = (self.most_members(*head)?, self.most_members(*tail)?);
                Some(head.saturating_mul(tail))
            }
            Node::Repeat { body, low, high } => {
                let body = self.most_members(*body)?;
                let counts = (*low..=*high).map(|count| body.saturating_pow(count));
                Some(counts.fold(0, u64::saturating_add))
            }
            Node::Union(children) => {
                let counts = children.iter().map(|child| self.most_members(*child));
                counts
                    .into_iter()
                    .try_fold(0u64, |all, count| Some(all.saturating_add(count?)))
            }
            Node::Intersection(children) => children
                .iter()
                .filter_map(|child| self.most_members(*child))
                .min(),
            Node::Complement(_) | Node::Rule(_) => None,
        }
    }

    /// The set and the greatest number of a repetition of single code points.
    pub fn repeated_set(&self, id: RegexId) -> Option<(CharSet, Option<u32>)> {
        let Node::Repeat { body, high, .. } = &self.nodes[id.index()] else {
            return None;
        };
        let high = (*high != node::UNBOUNDED).then_some(*high);
        match &self.nodes[body.index()] {
            Node::Set(set) => Some((set.clone(), high)),
            _ => None,
        }
    }

    /// Whether the string is a member.
    pub fn matches(&mut self, id: RegexId, text: &str) -> bool {
        let rest = text
            .chars()
            .fold(id, |rest, c| self.derivative(rest, u32::from(c)));
        self.is_nullable(rest)
    }

    /// A partition of the scalar values within which the derivatives agree.
    pub fn classes(&mut self, id: RegexId) -> Arc<[CharSet]> {
        let partition = self.ensure_partition(id);
        self.partitions.classes(partition)
    }

    /// The class that all code points of an inclusive range are in, if it is one.
    pub fn class_of_range(&mut self, id: RegexId, range: (u32, u32)) -> Option<u32> {
        let partition = self.ensure_partition(id);
        self.partitions.class_of_range(partition, range)
    }

    /// The code points whose derivative is the expression itself.
    pub fn self_loop(&mut self, id: RegexId) -> CharSet {
        if let Some(known) = self.self_loops.get(&id) {
            return known.clone();
        }
        let partition = self.ensure_partition(id);
        let samples = self.partitions.samples(partition);
        let classes = self.partitions.classes(partition);
        let looping = samples
            .iter()
            .zip(classes.iter())
            .filter(|&(&c, _)| self.derivative(id, c) == id);
        let set = CharSet::from_ranges(looping.flat_map(|(_, class)| class.ranges().to_vec()));
        if !self.is_void() {
            self.self_loops.insert(id, set.clone());
        }
        set
    }

    /// The id of a node, made if it is new; NEVER when the arena is full.
    fn intern(&mut self, node: Node) -> RegexId {
        let hash = FastHash::default().hash_one(&node);
        if let Some(found) = self
            .ids
            .find(hash, |place| self.nodes[place as usize] == node)
        {
            return RegexId(found);
        }
        let facts = self.facts_of(&node);
        let units = 1 + node.weight() / 8;
        if !self.spend(units as u64) {
            return Self::NEVER;
        }
        if facts.depth > node::MAX_DEPTH || !self.charge(units) {
            self.overflowed = true;
            return Self::NEVER;
        }
        let id = RegexId(self.nodes.len() as u32);
        self.nodes.push(node);
        self.facts.push(facts);
        self.rows.push(Row {
            partition: PartitionId::UNKNOWN,
            start: 0,
        });
        self.ids.push(hash);
        id
    }

    /// Takes space from the arena; false, for good, when there is none left.
    fn charge(&mut self, units: usize) -> bool {
        self.used += units;
        self.overflowed |= self.used > self.max_nodes;
        !self.overflowed
    }

    fn emptiness(&self, id: RegexId) -> Emptiness {
        self.facts[id.index()].emptiness
    }
}
