//! Searches through derivatives: emptiness and shortest members.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::hashing::FastHash;
use super::node::{Emptiness, Node};
use super::partition::readability;
use super::{OutOfFuel, RegexId, Regexes};

/// Small steps that a search takes for a derivative that is known.
const SEARCH_STEPS: usize = 2;

/// How deep emptiness is decided part by part before a search decides it.
const MAX_PARTS_DEPTH: u32 = 200;

/// Nodes reached by a search, with the node and code point they were reached from.
type Reached = HashMap<RegexId, (RegexId, u32), FastHash>;

impl Regexes {
    /// Whether there is no member. A known answer costs one look-up; otherwise each derivative of
    /// the search burns one unit of fuel, and what was learnt is kept.
    pub fn is_empty_language(&mut self, id: RegexId, fuel: &mut u64) -> Result<bool, OutOfFuel> {
        self.is_empty_within(id, fuel, MAX_PARTS_DEPTH)
    }

    /// Asks the parts where they decide alone, down to a depth.
    fn is_empty_within(
        &mut self,
        id: RegexId,
        fuel: &mut u64,
        depth: u32,
    ) -> Result<bool, OutOfFuel> {
        let empty = match (self.emptiness(id), self.nodes[id.index()].clone()) {
            (Emptiness::Empty, _) => return Ok(true),
            (Emptiness::Nonempty, _) => return Ok(false),
            _ if depth == 0 => return self.search_member(id, fuel),
            (_, Node::Concat(..)) => self.is_empty_concat(id, fuel, depth - 1)?,
            (_, Node::Repeat { body, .. }) => self.is_empty_within(body, fuel, depth - 1)?,
            (_, Node::Union(children)) => self.is_empty_union(&children, fuel, depth - 1)?,
            _ => return self.search_member(id, fuel),
        };
        self.learn(id, empty);
        Ok(empty)
    }

    fn is_empty_concat(
        &mut self,
        id: RegexId,
        fuel: &mut u64,
        depth: u32,
    ) -> Result<bool, OutOfFuel> {
        let mut rest = id;
        while let Node::Concat(head, tail) = self.nodes[rest.index()] {
            if self.is_empty_within(head, fuel, depth)? {
                return Ok(true);
            }
            rest = tail;
        }
        self.is_empty_within(rest, fuel, depth)
    }

    fn is_empty_union(
        &mut self,
        children: &[RegexId],
        fuel: &mut u64,
        depth: u32,
    ) -> Result<bool, OutOfFuel> {
        for &child in children {
            if !self.is_empty_within(child, fuel, depth)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn learn(&mut self, id: RegexId, empty: bool) {
        if !self.is_void() {
            self.facts[id.index()].emptiness = if empty {
                Emptiness::Empty
            } else {
                Emptiness::Nonempty
            };
        }
    }

    /// Follows derivatives, shortest promise first, until one surely has a member.
    fn search_member(&mut self, id: RegexId, fuel: &mut u64) -> Result<bool, OutOfFuel> {
        let mut reached = Reached::from_iter([(id, (id, 0))]);
        let mut open = BinaryHeap::from([(Reverse(0), id)]);
        while let Some((_, from)) = open.pop() {
            let partition = self.ensure_partition(from);
            for &c in self.partitions.samples(partition).iter() {
                let to = self.fuelled_derivative(from, c, fuel)?;
                if self.emptiness(to) == Emptiness::Nonempty {
                    self.learn_path(&reached, from);
                    return Ok(false);
                }
                if self.emptiness(to) == Emptiness::Unknown && !reached.contains_key(&to) {
                    reached.insert(to, (from, c));
                    open.push((Reverse(self.fact(to).min), to));
                }
            }
        }
        reached.keys().for_each(|&node| self.learn(node, true));
        Ok(true)
    }

    /// Everything on the way to a node with a member has one itself.
    fn learn_path(&mut self, reached: &Reached, last: RegexId) {
        let mut node = last;
        loop {
            self.learn(node, false);
            match reached.get(&node) {
                Some(&(before, _)) if before != node => node = before,
                _ => return,
            }
        }
    }

    fn fuelled_derivative(
        &mut self,
        id: RegexId,
        c: u32,
        fuel: &mut u64,
    ) -> Result<RegexId, OutOfFuel> {
        *fuel = fuel.checked_sub(1).ok_or(OutOfFuel)?;
        self.spend_steps(SEARCH_STEPS);
        let derived = self.derivative(id, c);
        if self.is_void() {
            Err(OutOfFuel)
        } else {
            Ok(derived)
        }
    }

    /// One of the shortest members, if there is any; each derivative burns one unit of fuel.
    pub fn shortest(&mut self, id: RegexId, fuel: &mut u64) -> Result<Option<String>, OutOfFuel> {
        let mut reached = Reached::from_iter([(id, (id, 0))]);
        let mut lengths: HashMap<RegexId, u32, FastHash> = HashMap::from_iter([(id, 0)]);
        let mut open = BinaryHeap::from([(Reverse(self.fact(id).min), 0, Reverse(0), id)]);
        // A*, the deepest first among equals: every node knows what a member needs at least.
        while let Some((_, length, _, from)) = open.pop() {
            if self.is_nullable(from) {
                return Ok(Some(text_of_path(&reached, from)));
            }
            let partition = self.ensure_partition(from);
            for &c in self.partitions.samples(partition).iter() {
                let to = self.fuelled_derivative(from, c, fuel)?;
                let shorter = lengths.get(&to).is_none_or(|&known| length + 1 < known);
                if shorter && self.emptiness(to) != Emptiness::Empty {
                    lengths.insert(to, length + 1);
                    reached.insert(to, (from, c));
                    let least = self.fact(to).min.saturating_add(length + 1);
                    open.push((Reverse(least), length + 1, Reverse(readability(c)), to));
                }
            }
        }
        Ok(None)
    }
}

fn text_of_path(reached: &Reached, last: RegexId) -> String {
    let mut reversed = Vec::new();
    let mut node = last;
    while let Some(&(before, c)) = reached.get(&node) {
        if before == node {
            break;
        }
        reversed.extend(char::from_u32(c));
        node = before;
    }
    reversed.iter().rev().collect()
}
