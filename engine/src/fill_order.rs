//! In which order filling follows what it has met.
//!
//! There may be more than time is for. What texts are built of comes first: all else is found from
//! there. Then characters of values, one after the other, so that all texts are followed equally
//! far. What few texts come to, inside a character or a value that is compared, has its turn now and
//! then: tokens that begin a text may reach it.

use std::collections::VecDeque;

use crate::grammar::Grammar;
use crate::machine::{Node, NodeId, Role};
use crate::shape::Lexeme;

/// How often that has its turn.
const RARE_TURN: usize = 4;

/// Which of the nodes that wait a node is among.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Rank {
    Structure,
    Character,
    Rare,
}

impl Rank {
    /// That of a node.
    pub fn of(grammar: &Grammar, node: NodeId) -> Self {
        match &**grammar.machine.node(node) {
            Node::Text {
                shape,
                role: Role::Value,
                read,
                ..
            } => {
                let is_plain = grammar.machine.shapes.get(*shape).lexeme == Lexeme::Plain;
                match read {
                    None if is_plain => Rank::Character,
                    _ => Rank::Rare,
                }
            }
            _ => Rank::Structure,
        }
    }
}

/// What waits to be followed.
#[derive(Debug)]
pub(crate) struct Order<T> {
    waiting: [VecDeque<T>; 3],
    turns: usize,
}

impl<T> Default for Order<T> {
    fn default() -> Self {
        Order {
            waiting: std::array::from_fn(|_| VecDeque::new()),
            turns: 0,
        }
    }
}

impl<T> Order<T> {
    /// One more that waits.
    pub fn push(&mut self, item: T, rank: Rank) {
        self.waiting[rank as usize].push_back(item);
    }

    /// What is followed next.
    pub fn next(&mut self) -> Option<T> {
        self.turns += 1;
        let [structure, characters, rare] = &mut self.waiting;
        let texts = match self.turns % RARE_TURN {
            0 => [rare, characters],
            _ => [characters, rare],
        };
        let text = || texts.into_iter().find_map(VecDeque::pop_front);
        structure.pop_front().or_else(text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Order, Rank};

    #[test]
    fn what_texts_are_built_of_comes_first_and_what_is_rare_now_and_then() {
        let mut order = Order::default();
        (0..4).for_each(|item| order.push(item, Rank::Character));
        (10..12).for_each(|item| order.push(item, Rank::Rare));
        (20..22).for_each(|item| order.push(item, Rank::Structure));
        let followed: Vec<_> = std::iter::from_fn(|| order.next()).collect();
        assert_eq!(followed, [20, 21, 0, 10, 1, 2, 3, 11]);
    }
}
