//! What a language's texts begin with, where it is plain to see.

use super::node::Node;
use super::{RegexId, Regexes};
use crate::charset::CharSet;

/// How deep alternatives are looked into.
const MAX_DEPTH: u32 = 4;

impl Regexes {
    /// The code points that members begin with, and maybe more; None where a derivative has to be
    /// worked out to know.
    pub fn first_characters(&self, id: RegexId) -> Option<CharSet> {
        self.first_within(id, MAX_DEPTH)
    }

    fn first_within(&self, id: RegexId, depth: u32) -> Option<CharSet> {
        let deeper = depth.checked_sub(1)?;
        match &self.nodes[id.index()] {
            Node::Never | Node::Empty => Some(CharSet::empty()),
            Node::Set(set) => Some(set.clone()),
            Node::Concat(head, _) if !self.is_nullable(*head) => self.first_within(*head, deeper),
            Node::Repeat { body, .. } => self.first_within(*body, deeper),
            Node::Union(children) => children.iter().try_fold(CharSet::empty(), |all, child| {
                Some(all.union(&self.first_within(*child, deeper)?))
            }),
            &Node::Words {
                list,
                from,
                to,
                depth,
            } => {
                let next = |word: &str| word[depth as usize..].chars().next();
                let mut words = &self.words[list as usize].words[from as usize..to as usize];
                let mut points = Vec::new();
                while let Some(word) = words.first() {
                    let first = next(word);
                    points.extend(first.map(u32::from));
                    words = &words[words.partition_point(|word| next(word) <= first)..];
                }
                Some(CharSet::from_ranges(points.into_iter().map(|c| (c, c))))
            }
            _ => None,
        }
    }
}
