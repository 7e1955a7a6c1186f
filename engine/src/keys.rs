//! An object's keys: which may come next, and what each means once it has ended.
//!
//! A key is read on several *tracks* side by side: the declared keys on the first, each class of
//! undeclared ones on one more. What it was read as decides how the object goes on. The text of an
//! undeclared key is not part of any node (`memory` keeps it), unless its class could run out of
//! keys, where every key that is gone changes what may still be begun.

use std::sync::Arc;

use crate::formula::TextId;
use crate::grammar::Grammar;
use crate::machine::{Action, Node, NodeId, ObjectId, ObjectState, Role};
use crate::memory::Unit;
use crate::regex::{RegexId, Regexes};
use crate::shape::{Lexeme, ShapeId};

/// How the keys that may come next in an object are read.
pub struct KeyTracks {
    /// The declared keys, then each class of undeclared ones; where texts are kept, all in one.
    pub languages: Box<[RegexId]>,
    /// One key of each class.
    pub examples: Box<[TextId]>,
    /// The text of every key is part of its node.
    pub is_text_kept: bool,
}

impl KeyTracks {
    /// Whether no key may come.
    pub fn is_empty(&self) -> bool {
        self.languages.iter().all(|l| *l == Regexes::NEVER)
    }
}

impl Grammar {
    /// How the keys that may come next are read.
    pub(crate) fn key_tracks(&mut self, object: ObjectId) -> Arc<KeyTracks> {
        if let Some(known) = self.machine.key_tracks.get(&object) {
            return Arc::clone(known);
        }
        let state = Arc::clone(self.machine.object(object));
        let declared = self.next_declared_language(&state);
        let tracks = Arc::new(if state.place.is_frugal {
            let extra = self.next_unseen(&state);
            let language = self.formulas.regexes.union(declared, extra);
            KeyTracks {
                languages: [self.unless_dead(language)].into(),
                examples: [].into(),
                is_text_kept: true,
            }
        } else {
            let classes = self.next_classes(&state);
            KeyTracks {
                languages: std::iter::once(self.unless_dead(declared))
                    .chain(classes.iter().map(|(class, _)| *class))
                    .collect(),
                examples: classes.iter().map(|(_, example)| *example).collect(),
                is_text_kept: classes.is_empty(),
            }
        });
        if !self.is_void() {
            self.machine.key_tracks.insert(object, Arc::clone(&tracks));
        }
        tracks
    }

    fn unless_dead(&mut self, language: RegexId) -> RegexId {
        if self.is_dead(language) {
            Regexes::NEVER
        } else {
            language
        }
    }

    fn next_declared_language(&mut self, state: &ObjectState) -> RegexId {
        let declared = self.next_declared(state);
        let texts: Vec<_> = declared
            .iter()
            .map(|k| Arc::clone(self.formulas.texts.get(*k)))
            .collect();
        let texts: Vec<&str> = texts.iter().map(|t| t.as_str()).collect();
        self.formulas.regexes.literals(&texts)
    }

    pub(crate) fn next_declared(&mut self, state: &ObjectState) -> Vec<TextId> {
        let order = Arc::clone(self.orders.get(state.place.order));
        let seen = Arc::clone(self.formulas.key_sets.get(state.place.seen));
        let from = (state.place.position as usize).min(order.keys.len());
        let last = self
            .last_position(state)
            .map_or(order.keys.len(), |at| at as usize + 1);
        let open = order.keys[from..last.max(from)].iter().copied();
        open.filter(|k| seen.binary_search(k).is_err())
            .filter(|k| self.is_key_alive(state, *k))
            .collect()
    }

    /// The last declared key that could come next: none may be passed that every track still needs.
    fn last_position(&mut self, state: &ObjectState) -> Option<u32> {
        if self.writing.any_order {
            return None;
        }
        let tracks = state.live_formulas();
        let firsts: Vec<Option<u32>> = tracks
            .map(|f| self.required_position(f, state.place))
            .collect();
        firsts
            .into_iter()
            .try_fold(0, |last, first| first.map(|at| last.max(at)))
    }

    /// The classes of undeclared keys that may come next.
    pub(crate) fn next_classes(&mut self, state: &ObjectState) -> Vec<(RegexId, TextId)> {
        if self.last_position(state).is_some() {
            return Vec::new();
        }
        let all = self.formulas.or(state.formulas.iter().copied());
        let classes = self.extra_classes(all, state.place.order);
        let alive = classes.iter().copied();
        alive
            .filter(|(_, example)| self.is_key_alive(state, *example))
            .collect()
    }

    /// The undeclared keys that may come next and have not been written yet.
    pub(crate) fn next_unseen(&mut self, state: &ObjectState) -> RegexId {
        let classes = self.next_classes(state);
        let all = classes.iter().fold(Regexes::NEVER, |all, (class, _)| {
            self.formulas.regexes.union(all, *class)
        });
        let seen = Arc::clone(self.formulas.key_sets.get(state.place.seen));
        let seen: Vec<_> = seen
            .iter()
            .map(|k| Arc::clone(self.formulas.texts.get(*k)))
            .collect();
        let seen: Vec<&str> = seen.iter().map(|t| t.as_str()).collect();
        let seen = self.formulas.regexes.literals(&seen);
        self.formulas.regexes.difference(all, seen)
    }

    fn is_key_alive(&mut self, state: &ObjectState, key: TextId) -> bool {
        state
            .formulas
            .iter()
            .any(|f| !self.live_branches(*f, state.place, key).is_empty())
    }

    pub(crate) fn begin_key(&mut self, object: ObjectId) -> Action {
        let tracks = self.key_tracks(object);
        if tracks.is_empty() {
            return Action::Dead;
        }
        let shape = self
            .machine
            .shapes
            .intern(tracks.languages.clone(), Lexeme::Plain);
        let declared = tracks.is_text_kept || tracks.languages[0] != Regexes::NEVER;
        let read = declared.then(|| self.formulas.texts.intern(String::new()));
        self.to(Node::Text {
            shape,
            role: Role::Key(object),
            read,
            bits: 0,
        })
    }

    /// One more byte of a key; its text is part of the node only while it may be a declared one.
    pub(crate) fn spell_key(
        &mut self,
        object: ObjectId,
        (shape, next): (ShapeId, ShapeId),
        (read, bits): (Option<TextId>, u32),
        byte: u8,
    ) -> Action {
        let tracks = self.key_tracks(object);
        let first = self.machine.shapes.get(next).languages[0];
        let (read, bits) = if tracks.is_text_kept || first != Regexes::NEVER {
            self.read_on(shape, read, bits, byte)
        } else {
            (None, 0)
        };
        let to = self.machine.intern_node(Node::Text {
            shape: next,
            role: Role::Key(object),
            read,
            bits,
        });
        if tracks.is_text_kept {
            return Action::To(to);
        }
        let lexeme = self.machine.shapes.get(shape).lexeme;
        let unit = match lexeme {
            Lexeme::Plain if byte == b'\\' => Unit::Pending,
            Lexeme::Plain | Lexeme::Utf8 { .. } => Unit::Byte(byte),
            _ => lexeme
                .completed(byte)
                .and_then(char::from_u32)
                .map_or(Unit::Pending, Unit::Character),
        };
        Action::Spell { to, unit }
    }

    /// The end of a key.
    pub(crate) fn end_key(
        &mut self,
        object: ObjectId,
        shape: ShapeId,
        read: Option<TextId>,
    ) -> Action {
        let tracks = self.key_tracks(object);
        let accepted = self.accepted(shape);
        if tracks.is_text_kept || accepted.first() == Some(&true) {
            return match read {
                Some(key) if tracks.is_text_kept => Action::To(self.colon(object, key)),
                Some(key) => Action::Recall(self.colon(object, key)),
                None => Action::Dead,
            };
        }
        let class = accepted.iter().skip(1).position(|a| *a);
        match class.and_then(|class| tracks.examples.get(class)) {
            Some(example) => Action::Name(self.colon(object, *example)),
            None => Action::Dead,
        }
    }

    pub(crate) fn colon(&mut self, object: ObjectId, key: TextId) -> NodeId {
        let gap = self.gap(0);
        self.machine.intern_node(Node::Colon { object, key, gap })
    }

    /// The node after a key that goes on with these bytes and ends, if that is known without
    /// reading them: its shape before the quote says as what it has been read.
    pub(crate) fn leave_key(
        &mut self,
        (object, shape): (ObjectId, ShapeId),
        read: Option<TextId>,
        before: ShapeId,
        rest: &[u8],
    ) -> Option<NodeId> {
        let tracks = self.key_tracks(object);
        let accepted = self.accepted(before);
        if !tracks.is_text_kept && accepted.first() != Some(&true) {
            let class = accepted.iter().skip(1).position(|a| *a)?;
            return Some(self.colon(object, *tracks.examples.get(class)?));
        }
        let plain =
            self.machine.shapes.get(shape).lexeme == Lexeme::Plain && !rest.contains(&b'\\');
        let rest = std::str::from_utf8(rest).ok().filter(|_| plain)?;
        let key = format!("{}{rest}", self.formulas.texts.get(read?));
        let key = self.representative(object, &key)?;
        Some(self.colon(object, key))
    }

    /// A key after which an object goes on as after this one: itself if it is declared, else the
    /// example of the only class of undeclared keys.
    fn representative(&mut self, object: ObjectId, key: &str) -> Option<TextId> {
        let state = Arc::clone(self.machine.object(object));
        let known = self.formulas.texts.find(&key.to_owned());
        let positions = self.positions(state.place.order);
        if let Some(declared) = known.filter(|k| positions.contains_key(k)) {
            return Some(declared);
        }
        let all = self.formulas.or(state.formulas.iter().copied());
        match &*self.extra_classes(all, state.place.order) {
            [(_, example)] => Some(*example),
            _ => None,
        }
    }
}
