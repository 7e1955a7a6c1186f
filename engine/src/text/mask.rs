//! Masks of texts: one walk over the vocabulary's trie for each place, remembered.
//!
//! Most places soon lead to a *usual* one that many characters, the *idle* ones, do not change, as
//! inside a name or a quoted text. Tokens of idle characters, and of spaces before them, are taken
//! for granted from a ready mask; the walk corrects that. At the usual place it passes over the
//! parts of the trie in which no character leads anywhere else.

use std::sync::Arc;

use super::bytes::{ByteMachine, ByteState};
use super::{CharacterMachine, Place};
use crate::hashing::IdMap;
use crate::mask::Mask;
use crate::vocabulary::{NON_ASCII, SPECIAL, Vocabulary, allow, forbid, signature_bit};

/// Bytes of an entry of `near`.
const NEAR_BYTES: usize = 16;
/// Nodes of the trie between two looks at the fuel.
const FUEL_CHECK: usize = 1024;

/// Masks worked out so far.
#[derive(Default)]
pub(super) struct TextMasks {
    known: IdMap<ByteState, Arc<Mask>>,
    near: IdMap<Place, ByteState>,
    bytes: usize,
}

/// The state that most characters lead to and then do not change.
#[derive(Copy, Clone)]
struct Usual {
    state: ByteState,
    /// The signature of the characters that do not change it; empty if there is no such state.
    idle: u128,
    /// That of the characters of tokens that are taken for granted.
    granted: u128,
    /// That of the characters that lead elsewhere from it, or are granted and lead nowhere.
    leaving: u128,
}

/// What a walk knows of a node of the trie on its way.
#[derive(Copy, Clone)]
struct Way {
    state: ByteState,
    /// All characters so far are granted ones: the ready mask speaks of the token.
    granted: bool,
    /// This is the usual state, or inside of an idle character behind it.
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
            self.bytes += mask.bytes() + 4 * vocabulary.words(); // most have a base of their own
            self.known.insert(near, Arc::clone(&mask));
        }
        mask
    }

    /// The mask of a state, if it is known already.
    pub fn find<M: CharacterMachine>(
        &self,
        bytes: &ByteMachine<M>,
        at: ByteState,
    ) -> Option<Arc<Mask>> {
        let near = bytes.place(at).and_then(|place| self.near.get(&place));
        self.known.get(near.unwrap_or(&at)).cloned()
    }

    /// About how many bytes have been learnt.
    pub fn learnt_bytes(&self) -> usize {
        self.bytes + self.near.len() * NEAR_BYTES
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
            plain.allow_within(usual.granted, usize::MAX, &mut base);
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
                    let nothing_new = way.idling && trie.below[node] & self.usual.leaving == 0;
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
        let granted = from.granted && self.usual.granted >> signature_bit(byte) & 1 == 1;
        let is_usual =
            state == self.usual.state || from.idling && self.bytes.place(state).is_none();
        Some(Way {
            state,
            granted,
            idling: granted && is_usual,
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

/// Characters behind which many texts go on in the same way; no common word begins with the letters.
const LIKELY: [u8; 4] = *b"zQ1 ";

/// Of the state itself and those that it leads to with likely characters, the one that most
/// characters do not change.
fn usual<M: CharacterMachine>(bytes: &mut ByteMachine<M>, at: ByteState) -> Usual {
    let mut usual = Usual {
        state: at,
        idle: 0,
        granted: 0,
        leaving: 0,
    };
    let next = LIKELY.map(|likely| bytes.step(at, likely));
    for state in [Some(at)].into_iter().chain(next).flatten() {
        let (idle, leaving) = signatures(bytes, state);
        if idle.count_ones() > usual.idle.count_ones() {
            (usual.state, usual.idle, usual.leaving) = (state, idle, leaving);
        }
    }
    if usual.idle != 0 {
        let is_space_read = bytes.step(at, b' ').is_some();
        usual.granted = usual.idle | u128::from(is_space_read) << b' ';
        usual.leaving |= usual.granted & !usual.idle;
    }
    usual
}

/// The signatures of the characters that lead from a state to itself, and of those that lead
/// elsewhere; the bit of all beyond ASCII is in the first one only if each of them does, and then
/// not in the second one.
fn signatures<M: CharacterMachine>(bytes: &mut ByteMachine<M>, at: ByteState) -> (u128, u128) {
    let Some(place) = bytes.place(at) else {
        return (0, 0);
    };
    let (mut idle, mut leaving) = (0, 0);
    for c in 0..0x80 {
        let bit = signature_bit(c);
        match bytes.step(at, c) {
            Some(next) if next == at && bit != SPECIAL.trailing_zeros() => idle |= 1 << bit,
            Some(_) => leaving |= 1 << bit,
            None => {}
        }
    }
    let runs = bytes.runs(place);
    if *runs
        == [
            (0x80, 0xD7FF, Some(place)),
            (0xE000, 0x10_FFFF, Some(place)),
        ]
    {
        idle |= NON_ASCII;
        leaving |= SPECIAL; // of tokens that end inside a character
    } else if runs.iter().any(|run| run.2.is_some()) {
        leaving |= NON_ASCII | SPECIAL;
    }
    (idle, leaving)
}
