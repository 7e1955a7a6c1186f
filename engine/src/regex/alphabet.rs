//! Classes of code points that an expression and all that it goes on as do not tell apart.

use std::sync::Arc;

use super::node::Node;
use super::partition::PartitionId;
use super::{RegexId, Regexes};
use crate::charset::MAX_CODE_POINT;

/// Parts of an expression that are looked at.
const MAX_PARTS: usize = 400;
/// Classes from which on nothing is said.
const MAX_CLASSES: usize = 64;

/// A partition of the code points.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Alphabet {
    /// Code points from each of these on are in the class beside it.
    runs: Arc<[(u32, u32)]>,
    samples: Arc<[u32]>,
}

impl Alphabet {
    /// The class of a code point.
    pub fn class(&self, code_point: u32) -> u32 {
        let after = self.runs.partition_point(|run| run.0 <= code_point);
        self.runs[after.saturating_sub(1)].1
    }

    /// The classes of the characters in an inclusive range, by bit, of the first 32 classes.
    pub fn classes_within(&self, (low, high): (u32, u32)) -> u32 {
        let mut classes = 0;
        for (at, (first, class)) in self.runs.iter().enumerate() {
            let next = self
                .runs
                .get(at + 1)
                .map_or(MAX_CODE_POINT + 1, |run| run.0);
            let (from, last) = (low.max(*first), high.min(next - 1));
            let is_surrogate = from >= 0xD800 && last < 0xE000;
            if from <= last && !is_surrogate {
                classes |= 1u32.checked_shl(*class).unwrap_or(0);
            }
        }
        classes
    }

    /// How many runs of code points in one class there are.
    pub fn run_count(&self) -> usize {
        self.runs.len()
    }

    /// Whether it tells apart all that another one does.
    pub fn refines(&self, other: &Alphabet) -> bool {
        let mut theirs = vec![None; self.samples.len()];
        let starts = self.runs.iter().chain(&*other.runs).map(|run| run.0);
        starts.into_iter().all(|start| {
            let (mine, their) = (self.class(start) as usize, other.class(start));
            *theirs[mine].get_or_insert(their) == their
        })
    }

    /// A member of each class.
    pub fn samples(&self) -> &[u32] {
        &self.samples
    }
}

impl Regexes {
    /// The classes that none of some expressions tells apart, however it goes on; None for many.
    pub fn alphabet(&mut self, ids: &[RegexId]) -> Option<Alphabet> {
        let mut partition = PartitionId::ONE_CLASS;
        for id in ids {
            let own = self.deep_partition(*id)?;
            partition = self.meet(partition, own);
            if self.partitions.class_count(partition) > MAX_CLASSES {
                return None;
            }
        }
        Some(Alphabet {
            runs: self.partitions.all_runs(partition),
            samples: self.partitions.samples(partition),
        })
    }

    /// The partition by all sets in an expression: a derivative has no others.
    fn deep_partition(&mut self, id: RegexId) -> Option<PartitionId> {
        if let Some(known) = self.deep_partitions.get(&id) {
            return *known;
        }
        let found = self.find_deep_partition(id);
        self.deep_partitions.insert(id, found);
        found
    }

    fn find_deep_partition(&mut self, id: RegexId) -> Option<PartitionId> {
        let (mut partition, mut at) = (PartitionId::ONE_CLASS, 0);
        let mut parts = vec![id];
        while let Some(part) = parts.get(at).copied() {
            at += 1;
            let children: Vec<RegexId> = match &self.nodes[part.index()] {
                Node::Never | Node::Empty => Vec::new(),
                Node::Set(set) => {
                    let own = self.partitions.of_set(&set.clone());
                    partition = self.meet(partition, own);
                    Vec::new()
                }
                Node::Words { .. } | Node::Rule(_) => return None,
                Node::Concat(one, other) => vec![*one, *other],
                Node::Repeat { body, .. } | Node::Complement(body) => vec![*body],
                Node::Union(children) | Node::Intersection(children) => children.to_vec(),
            };
            let new = children.into_iter().filter(|child| !parts.contains(child));
            parts.extend(new.collect::<Vec<_>>());
            if parts.len() > MAX_PARTS || self.partitions.class_count(partition) > MAX_CLASSES {
                return None;
            }
        }
        Some(partition)
    }
}
