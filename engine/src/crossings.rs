//! Where tokens can run out of one text and into another: the trie's inner nodes, by the last byte
//! before the border and by the first one behind it.

use crate::byte_set::ByteSet;
use crate::vocabulary::Trie;

/// Inner nodes of a trie, by byte.
#[derive(Debug)]
pub struct Crossings {
    /// By the byte of the node.
    ending: Lists,
    /// By the byte of a node right below it.
    going_on: Lists,
}

/// A list of nodes for each byte, ascending.
type Lists = Vec<Vec<u32>>;

impl Crossings {
    /// Returns those of a trie.
    pub fn new(trie: &Trie) -> Self {
        let (mut ending, mut going_on) = (vec![Vec::new(); 256], vec![Vec::new(); 256]);
        for node in 0..trie.len() {
            if has_children(trie, node) {
                ending[usize::from(trie.bytes[node])].push(node as u32);
            }
            for child in children(trie, node) {
                going_on[usize::from(trie.bytes[child])].push(node as u32);
            }
        }
        Crossings { ending, going_on }
    }

    /// Returns the nodes at which a text that ends with one of `last` may end, so that some token
    /// goes on with one of `next`.
    pub fn between(&self, trie: &Trie, last: &ByteSet, next: &ByteSet) -> Vec<u32> {
        let mut nodes = match size(&self.ending, last) <= size(&self.going_on, next) {
            true => {
                let goes_on = |node: &u32| {
                    children(trie, *node as usize).any(|child| next.contains(trie.bytes[child]))
                };
                chosen(&self.ending, last)
                    .copied()
                    .filter(goes_on)
                    .collect()
            }
            false => {
                let ends = |node: &u32| last.contains(trie.bytes[*node as usize]);
                chosen(&self.going_on, next)
                    .copied()
                    .filter(ends)
                    .collect::<Vec<_>>()
            }
        };
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }
}

fn chosen<'a>(lists: &'a Lists, bytes: &'a ByteSet) -> impl Iterator<Item = &'a u32> {
    bytes.iter().flat_map(|byte| &lists[usize::from(byte)])
}

fn size(lists: &Lists, bytes: &ByteSet) -> usize {
    bytes
        .iter()
        .map(|byte| lists[usize::from(byte)].len())
        .sum()
}

fn has_children(trie: &Trie, node: usize) -> bool {
    trie.ends[node] as usize > node + 1
}

fn children(trie: &Trie, node: usize) -> impl Iterator<Item = usize> {
    let end = trie.ends[node] as usize;
    let first = Some(node + 1).filter(|child| *child < end);
    std::iter::successors(first, move |child| {
        Some(trie.ends[*child] as usize).filter(|next| *next < end)
    })
}
