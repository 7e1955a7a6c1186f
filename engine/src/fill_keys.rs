//! The nodes inside an object's keys, found without working any of them out.
//!
//! Where the declared keys are plain ASCII and any other key is one more or none, what has been
//! read of a key matters only while it begins a declared one: the keys say all that tables hold of
//! them (`frozen_keys`).

use std::sync::Arc;

use crate::byte_set::ByteSet;
use crate::formula::TextId;
use crate::grammar::Grammar;
use crate::hashing::IdSet;
use crate::machine::{Action, Node, NodeId, ObjectId, Role};
use crate::memory::Unit;
use crate::regex::Regexes;
use crate::shape::Lexeme;

/// The keys of an object that may be spelt out.
pub(crate) struct Spelt {
    /// Each declared key, ascending, and where it leads; None where it may not come any more.
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
        let all = grammar.orders.get(order).keys.clone();
        let is_spelt = |key: &TextId| {
            grammar
                .formulas
                .texts
                .get(*key)
                .bytes()
                .all(|b| is_plain(&b))
        };
        let declared = match others {
            // All of an order's, where that may be, so that its places share one trie.
            None if !all.iter().all(is_spelt) => allowed.clone(),
            _ => all,
        };
        let text = |key: &TextId| grammar.formulas.texts.get(*key).as_bytes().to_vec();
        let mut keys: Vec<_> = declared.iter().map(|key| (text(key), *key)).collect();
        if !keys.iter().all(|(key, _)| key.iter().all(is_plain)) {
            return None;
        }
        keys.sort_unstable();
        let allowed: IdSet<TextId> = allowed.into_iter().collect();
        let mut after = |key| allowed.contains(&key).then(|| grammar.colon(object, key));
        let keys: Vec<_> = keys
            .into_iter()
            .map(|(text, key)| (text, after(key)))
            .collect();
        (!keys.is_empty()).then_some(Spelt { keys, others })
    }

    /// The node inside any other key.
    pub fn other(&self) -> Option<NodeId> {
        self.others.map(|(inside, _)| inside)
    }

    /// The keys, ascending, as a trie has them.
    pub fn texts(&self) -> Vec<Box<[u8]>> {
        self.keys.iter().map(|(key, _)| key[..].into()).collect()
    }

    /// By key, where it leads.
    pub fn after(&self) -> impl Iterator<Item = Option<NodeId>> {
        self.keys.iter().map(|(_, after)| *after)
    }

    /// Where the ends of keys lead, and the node inside others.
    pub fn ends(&self) -> Vec<Action> {
        let others = self.others.map(|(inside, after)| [inside, after]);
        self.after()
            .flatten()
            .chain(others.into_iter().flatten())
            .map(Action::To)
            .collect()
    }

    /// Whether bytes do at the node where keys begin what the keys say; `usual` is what they do
    /// inside any other one.
    pub fn agrees(&self, row: &[Action; 256], usual: Option<&[Action; 256]>) -> bool {
        let usual = usual.copied().unwrap_or([Action::Dead; 256]);
        let may_come = |after: &Option<NodeId>| self.others.is_some() || after.is_some();
        let open = self.keys.iter().filter(|(_, after)| may_come(after));
        let first: ByteSet = open.filter_map(|(key, _)| key.first().copied()).collect();
        let empty = self.keys.first().filter(|(key, _)| key.is_empty());
        row.iter().zip(0..=255u8).all(|(action, byte)| {
            if first.contains(byte) {
                return self.spells(*action, byte);
            }
            match empty {
                Some((_, after)) if byte == b'"' => *action == self.end(*after),
                _ => *action == usual[byte as usize],
            }
        })
    }

    /// Whether an action reads one more byte of a declared key.
    fn spells(&self, action: Action, byte: u8) -> bool {
        match action {
            Action::Spell { unit, .. } => self.others.is_some() && unit == Unit::Byte(byte),
            Action::To(_) => self.others.is_none(),
            _ => false,
        }
    }

    fn end(&self, after: Option<NodeId>) -> Action {
        match after {
            Some(after) if self.others.is_some() => Action::Recall(after),
            Some(after) => Action::To(after),
            None => Action::Dead,
        }
    }
}

/// Whether a byte of a key is spelt as itself.
fn is_plain(byte: &u8) -> bool {
    matches!(byte, 0x20..0x7F) && !b"\"\\".contains(byte)
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
