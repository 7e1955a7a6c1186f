//! Counts that are out of reach.

use super::node::{Node, UNBOUNDED};
use super::{RegexId, Regexes};

/// How many parts of a concatenation are looked at.
const MAX_PARTS: u32 = 8;

impl Regexes {
    /// An expression that `reach` code points cannot tell from this one: the same texts of that
    /// length begin a member, or are one. Counts at its front that so few cannot exhaust are
    /// dropped, so that the places of a long repetition are alike.
    pub fn near(&mut self, id: RegexId, reach: u32) -> RegexId {
        self.near_parts(id, reach, MAX_PARTS)
    }

    fn near_parts(&mut self, id: RegexId, reach: u32, parts: u32) -> RegexId {
        if parts == 0 {
            return id;
        }
        match self.nodes[id.index()].clone() {
            Node::Repeat { body, low, high } if self.fact(body).min > 0 => {
                let is_far = high > reach && high != UNBOUNDED;
                let high = if is_far { UNBOUNDED } else { high };
                self.repeat_counted(body, low.min(reach.saturating_add(1)), high)
            }
            Node::Concat(head, tail) => {
                let head = self.near_parts(head, reach, parts - 1);
                let tail = self.near_parts(tail, reach, parts - 1);
                self.concat(head, tail)
            }
            Node::Union(children) => {
                let near = children.iter();
                let near = near.map(|&child| self.near_parts(child, reach, parts - 1));
                let near = near.collect();
                self.union_all(near)
            }
            _ => id,
        }
    }
}
