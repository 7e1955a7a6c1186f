//! The nodes inside an object's keys, made without working any of them out.
//!
//! Where the declared keys are plain ASCII and any other key is one more or none, what has been
//! read of a key matters only while it begins a declared one. There are as many such nodes as
//! beginnings, for every object again, so that objects with many keys would take long otherwise.

use std::collections::HashMap;
use std::sync::Arc;

use crate::fill::Nodes;
use crate::grammar::Grammar;
use crate::machine::{Action, Node, NodeId, ObjectId, Role};
use crate::memory::Unit;
use crate::regex::Regexes;
use crate::shape::Lexeme;

/// The keys of an object that may be spelt out.
pub(crate) struct Spelt {
    /// Each declared key, and where it leads; None where it may not come any more.
    keys: Vec<(Vec<u8>, Option<NodeId>)>,
    /// The node that is inside any other key, and where its end leads.
    others: Option<(NodeId, NodeId)>,
}

impl Spelt {
    /// The keys that begin at a node, if they are of that kind.
    pub fn find(grammar: &mut Grammar, node: &Node) -> Option<Spelt> {
        let Node::Text {
            shape,
            role: Role::Key(object),
            ..
        } = *node
        else {
            return None;
        };
        let tracks = grammar.key_tracks(object);
        let begins = {
            let shape = grammar.machine.shapes.get(shape);
            shape.lexeme == Lexeme::Plain && shape.languages == tracks.languages
        };
        if !begins || grammar.writing.all_spellings {
            return None;
        }
        let state = Arc::clone(grammar.machine.object(object));
        let (order, allowed) = (state.place.order, grammar.next_declared(&state));
        let all = grammar.formulas.or(state.formulas.iter().copied());
        let others = match *tracks.languages {
            // Where no pattern tells keys apart, others are whatever is not declared.
            [_, _] if grammar.patterns_of(all).is_empty() => {
                let inside = inside_any(grammar, object);
                let after = grammar.colon(object, *tracks.examples.first()?);
                Some((inside, after))
            }
            [_] if tracks.is_text_kept && !state.place.is_frugal => None,
            _ => return None,
        };
        let declared = if others.is_some() {
            grammar.orders.get(order).keys.clone()
        } else {
            allowed.clone()
        };
        let mut keys = Vec::new();
        for key in declared {
            let text = grammar.formulas.texts.get(key).as_bytes().to_vec();
            let is_plain = |byte: &u8| matches!(byte, 0x20..0x7F) && !b"\"\\".contains(byte);
            if !text.iter().all(is_plain) {
                return None;
            }
            let after = allowed.contains(&key).then(|| grammar.colon(object, key));
            keys.push((text, after));
        }
        (!keys.is_empty()).then_some(Spelt { keys, others })
    }

    /// How many nodes there are inside the keys at most.
    pub fn size(&self) -> usize {
        self.keys.iter().map(|(key, _)| key.len()).sum()
    }

    /// The node inside any other key.
    pub fn other(&self) -> Option<NodeId> {
        self.others.map(|(inside, _)| inside)
    }

    /// Where the ends of keys lead, and the node inside others.
    pub fn ends(&self) -> Vec<Action> {
        let declared = self.keys.iter().filter_map(|(_, after)| *after);
        let others = self.others.map(|(inside, after)| [inside, after]);
        declared
            .chain(others.into_iter().flatten())
            .map(Action::To)
            .collect()
    }

    /// The rows of the nodes inside the keys, each node after the one it comes of; `first` is where
    /// they begin, `usual` the row inside any other key.
    pub fn rows(
        &self,
        nodes: &mut Nodes,
        first: NodeId,
        usual: Option<&[Action; 256]>,
    ) -> Vec<(NodeId, Box<[Action; 256]>)> {
        let usual = usual.copied().unwrap_or([Action::Dead; 256]);
        let mut numbers: HashMap<&[u8], usize> = HashMap::from([(&[][..], 0)]);
        let mut rows = vec![(first, Box::new(usual))];
        for (key, after) in &self.keys {
            let mut at = 0;
            for end in 1..=key.len() {
                let next = *numbers.entry(&key[..end]).or_insert_with(|| {
                    rows.push((nodes.invent(), Box::new(usual)));
                    rows.len() - 1
                });
                let (byte, to) = (key[end - 1], rows[next].0);
                rows[at].1[usize::from(byte)] = self.spell(to, byte);
                at = next;
            }
            rows[at].1[usize::from(b'"')] = match after {
                Some(after) if self.others.is_some() => Action::Recall(*after),
                Some(after) => Action::To(*after),
                None => Action::Dead,
            };
        }
        rows
    }

    fn spell(&self, to: NodeId, byte: u8) -> Action {
        match self.others {
            Some(_) => Action::Spell {
                to,
                unit: Unit::Byte(byte),
            },
            None => Action::To(to),
        }
    }
}

/// The node inside a key that can be no declared one.
fn inside_any(grammar: &mut Grammar, object: ObjectId) -> NodeId {
    let languages = [Regexes::NEVER, Regexes::ALWAYS].into();
    let shape = grammar.machine.shapes.intern(languages, Lexeme::Plain);
    grammar.machine.intern_node(Node::Text {
        shape,
        role: Role::Key(object),
        read: None,
        bits: 0,
    })
}
