//! Masks of texts: one walk over the vocabulary's trie for each place, remembered.
//!
//! Most places soon lead to a *usual* one that many characters, the *idle* ones, do not change, as
//! inside a name or a quoted text. Tokens of idle characters are taken for granted from a ready
//! mask; the walk corrects that and passes over what is below idle tokens of idle characters only.

use std::sync::Arc;

use super::bytes::{ByteMachine, ByteState};
use super::{CharacterMachine, Place};
use crate::charset::CharSet;
use crate::hashing::IdMap;
use crate::mask::Mask;
use crate::vocabulary::{Vocabulary, allow, forbid, signature_bit};

/// How many masks are remembered.
const MAX_MASKS: usize = 4096;
/// Nodes of the trie between two looks at the fuel.
const FUEL_CHECK: usize = 1024;

/// Masks worked out so far.
#[derive(Default)]
pub(super) struct TextMasks {
    known: IdMap<ByteState, Arc<Mask>>,
    near: IdMap<Place, ByteState>,
}

/// The state that most characters lead to and then do not change.
#[derive(Copy, Clone)]
struct Usual {
    state: ByteState,
    /// The signature of the characters that do not change it; empty if there is no such state.
    idle: u128,
}

/// What a walk knows of a node of the trie on its way.
#[derive(Copy, Clone)]
struct Way {
    state: ByteState,
    /// All characters so far are idle ones: the ready mask speaks of the token.
    granted: bool,
    /// The usual state is reached, and whatever comes of idle characters is right in that mask.
    idling: bool,
}

impl TextMasks {
    /// The tokens that may come next.
    pub fn mask<M: CharacterMachine>(
        &mut self,
        bytes: &mut ByteMachine<M>,
        vocabulary: &Vocabulary,
        at: ByteState,
    ) -> Arc<Mask> {
        let near = self.near(bytes, vocabulary, at);
        if let Some(known) = self.known.get(&near) {
            return Arc::clone(known);
        }
        let mask = Arc::new(Walk::new(bytes, vocabulary, near).run());
        if bytes.machine.limit_reached().is_none() {
            if self.known.len() >= MAX_MASKS {
                self.known.clear();
            }
            self.known.insert(near, Arc::clone(&mask));
        }
        mask
    }

    /// A state that no token can tell from this one.
    fn near<M: CharacterMachine>(
        &mut self,
        bytes: &mut ByteMachine<M>,
        vocabulary: &Vocabulary,
        at: ByteState,
    ) -> ByteState {
        let Some(place) = bytes.place(at) else {
            return at;
        };
        if let Some(known) = self.near.get(&place) {
            return *known;
        }
        let reach = vocabulary.trie().height() as u32;
        let near = bytes.machine.near(place, reach);
        let near = bytes.state(near);
        self.near.insert(place, near);
        near
    }
}

struct Walk<'a, M> {
    bytes: &'a mut ByteMachine<M>,
    vocabulary: &'a Vocabulary,
    start: ByteState,
    usual: Usual,
    base: Option<Vec<u32>>,
    tokens: Vec<u32>,
}

impl<'a, M: CharacterMachine> Walk<'a, M> {
    fn new(bytes: &'a mut ByteMachine<M>, vocabulary: &'a Vocabulary, start: ByteState) -> Self {
        let usual = usual(bytes, start);
        let base = (usual.idle != 0).then(|| {
            let mut base = vec![0; vocabulary.words()];
            let plain = vocabulary.plain();
            plain.allow_within(usual.idle, usize::MAX, &mut base);
            base
        });
        Walk {
            bytes,
            vocabulary,
            start,
            usual,
            base,
            tokens: Vec::new(),
        }
    }

    fn run(mut self) -> Mask {
        let trie = self.vocabulary.trie();
        let granted = self.usual.idle != 0;
        let first = Way {
            state: self.start,
            granted,
            idling: granted && self.start == self.usual.state,
        };
        let mut ways = vec![first; trie.height() + 1];
        let (mut node, mut visited) = (0, 0);
        while node < trie.len() {
            visited += 1;
            if visited % FUEL_CHECK == 0 && self.bytes.machine.limit_reached().is_some() {
                break;
            }
            let depth = trie.depths[node] as usize;
            node = match self.follow(ways[depth], trie.bytes[node]) {
                Some(way) => {
                    ways[depth + 1] = way;
                    self.take(node, way);
                    let nothing_new = way.idling && trie.below[node] & !self.usual.idle == 0;
                    if nothing_new {
                        trie.ends[node] as usize
                    } else {
                        node + 1
                    }
                }
                None => {
                    self.leave_out(node, ways[depth].granted);
                    trie.ends[node] as usize
                }
            };
        }
        self.settle()
    }

    fn follow(&mut self, from: Way, byte: u8) -> Option<Way> {
        let state = self.bytes.step(from.state, byte)?;
        let granted = from.granted && self.usual.idle >> signature_bit(byte) & 1 == 1;
        Some(Way {
            state,
            granted,
            idling: granted && (from.idling || state == self.usual.state),
        })
    }

    /// Allows the tokens at a node, unless the ready mask does.
    fn take(&mut self, node: usize, way: Way) {
        if !(way.granted && self.bytes.place(way.state).is_some()) {
            let tokens = self.vocabulary.trie().tokens_at(node);
            self.tokens.extend_from_slice(tokens);
        }
    }

    /// Takes the tokens below a node out of the ready mask.
    fn leave_out(&mut self, node: usize, granted: bool) {
        if let (true, Some(base)) = (granted, &mut self.base) {
            let tokens = self.vocabulary.trie().tokens_below(node);
            tokens.iter().for_each(|token| forbid(base, *token));
        }
    }

    /// Many tokens become a base, so that each use copies words instead of setting bits.
    fn settle(self) -> Mask {
        let Walk {
            mut base,
            mut tokens,
            vocabulary,
            ..
        } = self;
        if base.is_none() && tokens.len() > vocabulary.words() / 2 {
            base = Some(vec![0; vocabulary.words()]);
        }
        if let Some(base) = &mut base {
            tokens.drain(..).for_each(|token| allow(base, token));
        }
        Mask::new(base.map(Arc::from), tokens)
    }
}

fn usual<M: CharacterMachine>(bytes: &mut ByteMachine<M>, at: ByteState) -> Usual {
    let none = Usual { state: at, idle: 0 };
    let Some(place) = bytes.place(at) else {
        return none;
    };
    let idle = idle_signature(bytes, place);
    if idle != 0 {
        return Usual { state: at, idle };
    }
    let size = |class: &CharSet| {
        class
            .ranges()
            .iter()
            .map(|(low, high)| high - low + 1)
            .sum::<u32>()
    };
    let mut classes = bytes.machine.classes(place);
    classes.sort_by_key(|class| std::cmp::Reverse(size(class)));
    let samples = classes.iter().filter_map(CharSet::first);
    let next = samples
        .map(|sample| bytes.machine.step(place, sample))
        .find(Option::is_some);
    let Some(Some(usual)) = next else {
        return none;
    };
    Usual {
        state: bytes.state(usual),
        idle: idle_signature(bytes, usual),
    }
}

/// The signature of the characters that lead from a place to itself; the bit of all others only if
/// each of them does.
fn idle_signature<M: CharacterMachine>(bytes: &mut ByteMachine<M>, place: Place) -> u128 {
    let others = bytes.runs(place).iter().all(|run| run.2 == Some(place));
    let mut idle = u128::from(others);
    for class in bytes.machine.classes(place) {
        let sample = class.first();
        if sample.is_some_and(|sample| bytes.machine.step(place, sample) == Some(place)) {
            let ascii = (0x20..0x80).filter(|c| !matches!(c, 0x22 | 0x5C) && class.contains(*c));
            ascii.for_each(|c| idle |= 1 << c);
        }
    }
    idle
}
