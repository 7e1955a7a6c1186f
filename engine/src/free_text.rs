//! Free text: whole code points in which no trigger occurs, or of which the first trigger is the
//! end. Triggers are found by the automaton of Aho and Corasick ("Efficient string matching",
//! 1975), whatever tokens they are split over.
//!
//! Which tokens go on with free text depends on nothing else, so that a vocabulary remembers it for
//! all envelopes: those of a chat family differ in their tools, not in what opens a call.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::envelope::FreeText;
use crate::vocabulary::{ALL_PLAIN, SPECIAL, Vocabulary, allow, forbid, signature_bit};

/// What a byte does to free text.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum FreeStep {
    Dead,
    To {
        state: u32,
        may_end: bool,
    },
    /// The trigger that ends it is complete.
    Ended,
}

/// Reads free text. A state is one of the triggers' automaton and, in its lowest bits, what is
/// left of a code point; the first is 0.
pub struct Automaton {
    /// By state: where each byte leads.
    steps: Vec<[u16; 256]>,
    /// By state: a trigger ends here.
    is_trigger: Vec<bool>,
    is_until: bool,
    /// Signature of the bytes that triggers begin with.
    begins: u128,
}

const CHARACTER_BITS: u32 = 3;
const BETWEEN_CHARACTERS: u32 = 0;

impl Automaton {
    /// Returns the automaton of a piece.
    pub fn new(free: &FreeText) -> Self {
        let mut automaton = Automaton {
            steps: vec![[0; 256]],
            is_trigger: vec![false],
            is_until: free.is_until,
            begins: 0,
        };
        free.triggers
            .iter()
            .for_each(|trigger| automaton.add(trigger.as_bytes()));
        automaton.close();
        automaton
    }

    /// Adds a trigger to the tree of them: 0 stands for no step yet.
    fn add(&mut self, trigger: &[u8]) {
        let mut state = 0;
        for byte in trigger {
            let next = self.steps[state][usize::from(*byte)] as usize;
            state = if next > 0 {
                next
            } else {
                self.grow(state, *byte)
            };
        }
        self.is_trigger[state] = true;
        self.begins |= trigger.first().map_or(0, |byte| 1 << signature_bit(*byte));
    }

    fn grow(&mut self, state: usize, byte: u8) -> usize {
        let new = self.steps.len();
        self.steps.push([0; 256]);
        self.is_trigger.push(false);
        self.steps[state][usize::from(byte)] = new as u16; // triggers have few bytes together
        new
    }

    /// Makes the tree an automaton: where a state has no step, it is that of the longest other
    /// beginning of a trigger that the text ends with.
    fn close(&mut self) {
        let mut suffix = vec![0usize; self.steps.len()];
        let mut open: VecDeque<usize> = VecDeque::from([0]);
        while let Some(state) = open.pop_front() {
            let fallback = self.steps[suffix[state]];
            self.is_trigger[state] |= self.is_trigger[suffix[state]];
            for (byte, after_suffix) in fallback.iter().enumerate() {
                let after_suffix = if state == 0 { 0 } else { *after_suffix };
                match self.steps[state][byte] as usize {
                    0 => self.steps[state][byte] = after_suffix,
                    next => {
                        suffix[next] = after_suffix as usize;
                        open.push_back(next);
                    }
                }
            }
        }
    }

    /// What a byte does.
    pub fn step(&self, state: u32, byte: u8) -> FreeStep {
        let (character, place) = (state & ((1 << CHARACTER_BITS) - 1), state >> CHARACTER_BITS);
        let Some(character) = step_character(character, byte) else {
            return FreeStep::Dead;
        };
        let place = self.steps[place as usize][usize::from(byte)];
        match (self.is_trigger[place as usize], self.is_until) {
            (true, true) => FreeStep::Ended,
            (true, false) => FreeStep::Dead,
            (false, _) => FreeStep::To {
                state: u32::from(place) << CHARACTER_BITS | character,
                may_end: !self.is_until && character == BETWEEN_CHARACTERS,
            },
        }
    }
}

/// What is left of a code point after one more byte: 1 to 3 bytes, or one of the second bytes that
/// UTF-8 restricts (RFC 3629); None where it is not UTF-8.
fn step_character(left: u32, byte: u8) -> Option<u32> {
    match (left, byte) {
        (0, 0..0x80) => Some(0),
        (0, 0xC2..0xE0) => Some(1),
        (0, 0xE0) => Some(4),
        (0, 0xED) => Some(5),
        (0, 0xE1..0xF0) => Some(2),
        (0, 0xF0) => Some(6),
        (0, 0xF1..0xF4) => Some(3),
        (0, 0xF4) => Some(7),
        (1..=3, 0x80..0xC0) => Some(left - 1),
        (4, 0xA0..0xC0) | (5, 0x80..0xA0) => Some(1),
        (6, 0x90..0xC0) | (7, 0x80..0x90) => Some(2),
        _ => None,
    }
}

/// What free text does with the tokens of a vocabulary, from one of its states.
#[derive(Debug)]
pub struct FreeTokens {
    /// The mask of the tokens in which it goes on or ends.
    pub base: Arc<[u32]>,
    /// Nodes of the trie, ascending, at which it may be left: at its end, or anywhere; without
    /// those below which every token goes on with it.
    pub left: Vec<u32>,
}

/// What is remembered of free text.
#[derive(Debug, Default)]
pub struct FreeMasks {
    known: Mutex<HashMap<(FreeText, u32), Arc<FreeTokens>>>,
}

/// States that are remembered; what is met then is forgotten with its index.
const MAX_REMEMBERED: usize = 64;

impl FreeMasks {
    /// What free text does in a state of its automaton.
    pub fn get(
        &self,
        vocabulary: &Vocabulary,
        text: &FreeText,
        automaton: &Automaton,
        state: u32,
    ) -> Arc<FreeTokens> {
        let key = (text.clone(), state);
        if let Some(known) = self.lock().get(&key) {
            return Arc::clone(known);
        }
        let tokens = Arc::new(FreeWalk::new(automaton, vocabulary, state).run());
        let mut known = self.lock();
        if known.len() < MAX_REMEMBERED {
            known.insert(key, Arc::clone(&tokens));
        }
        tokens
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(FreeText, u32), Arc<FreeTokens>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A walk of the trie through free text.
///
/// Plain tokens without a byte that begins a trigger are taken for granted from a ready mask; the
/// walk corrects that, and passes over the parts of the trie in which there is nothing else.
struct FreeWalk<'a> {
    automaton: &'a Automaton,
    vocabulary: &'a Vocabulary,
    start: u32,
    base: Vec<u32>,
    left: Vec<u32>,
}

impl<'a> FreeWalk<'a> {
    fn new(automaton: &'a Automaton, vocabulary: &'a Vocabulary, start: u32) -> Self {
        let mut base = vec![0; vocabulary.words()];
        let granted = ALL_PLAIN & !automaton.begins;
        vocabulary
            .plain()
            .allow_within(granted, usize::MAX, &mut base);
        FreeWalk {
            automaton,
            vocabulary,
            start,
            base,
            left: Vec::new(),
        }
    }

    fn run(mut self) -> FreeTokens {
        let trie = self.vocabulary.trie();
        let of_interest = self.automaton.begins | SPECIAL;
        let is_clean = self.start & ((1 << CHARACTER_BITS) - 1) == BETWEEN_CHARACTERS;
        // By depth: the state, and whether the ready mask speaks of what is below.
        let mut ways = vec![(self.start, is_clean); trie.height() + 1];
        let mut node = 0;
        while node < trie.len() {
            let depth = trie.depths[node] as usize;
            let ((state, is_granted), byte) = (ways[depth], trie.bytes[node]);
            let is_granted = is_granted && of_interest >> signature_bit(byte) & 1 == 0;
            let step = self.automaton.step(state, byte);
            let FreeStep::To { state, may_end } = step else {
                self.forbid_below(node);
                if step == FreeStep::Ended {
                    self.allow_at(node);
                    self.left.push(node as u32);
                }
                node = trie.ends[node] as usize;
                continue;
            };
            ways[depth + 1] = (state, is_granted);
            if state == 0 && trie.below[node] & of_interest == 0 {
                if !is_granted {
                    self.allow_below(node);
                }
                node = trie.ends[node] as usize;
                continue;
            }
            self.allow_at(node);
            if may_end {
                self.left.push(node as u32);
            }
            node += 1;
        }
        FreeTokens {
            base: self.base.into(),
            left: self.left,
        }
    }

    fn allow_at(&mut self, node: usize) {
        let tokens = self.vocabulary.trie().tokens_at(node);
        tokens.iter().for_each(|id| allow(&mut self.base, *id));
    }

    fn allow_below(&mut self, node: usize) {
        let tokens = self.vocabulary.trie().tokens_below(node);
        tokens.iter().for_each(|id| allow(&mut self.base, *id));
    }

    fn forbid_below(&mut self, node: usize) {
        let tokens = self.vocabulary.trie().tokens_below(node);
        tokens.iter().for_each(|id| forbid(&mut self.base, *id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn automaton(triggers: &[&str], is_until: bool) -> Automaton {
        let triggers = triggers.iter().map(|text| (*text).into()).collect();
        Automaton::new(&FreeText { triggers, is_until })
    }

    /// How many bytes are read before the text ends or dies; None where it goes on.
    fn stops_after(automaton: &Automaton, text: &[u8]) -> Option<(usize, FreeStep)> {
        let mut state = 0;
        for (place, byte) in text.iter().enumerate() {
            match automaton.step(state, *byte) {
                FreeStep::To { state: next, .. } => state = next,
                stop => return Some((place + 1, stop)),
            }
        }
        None
    }

    #[test]
    fn the_first_trigger_is_found_in_every_text_of_three_letters() {
        let triggers = ["abca", "bc", "cab", "aa"];
        let (until, without) = (automaton(&triggers, true), automaton(&triggers, false));
        for number in 0..3usize.pow(8) {
            let text: Vec<u8> = (0..8u32)
                .map(|place| b"abc"[number / 3usize.pow(place) % 3])
                .collect();
            let ends = |end: &usize| {
                let text = &text[..*end];
                triggers
                    .iter()
                    .any(|trigger| text.ends_with(trigger.as_bytes()))
            };
            let first = (1..=8).find(ends);
            let ended = first.map(|end| (end, FreeStep::Ended));
            assert_eq!(stops_after(&until, &text), ended);
            let dead = first.map(|end| (end, FreeStep::Dead));
            assert_eq!(stops_after(&without, &text), dead);
        }
    }

    #[test]
    fn free_text_is_utf_8() {
        let free = automaton(&[], false);
        for character in (0..=0x10_FFFF).filter_map(char::from_u32).step_by(7) {
            let mut bytes = [0; 4];
            let text = character.encode_utf8(&mut bytes).as_bytes();
            assert_eq!(stops_after(&free, text), None);
        }
        let wrong: [&[u8]; 6] = [
            b"\xC0\x80",
            b"\xE0\x80\x80",
            b"\xED\xA0\x80",
            b"\xF0\x80\x80\x80",
            b"\xF4\x90\x80\x80",
            b"\x80",
        ];
        for text in wrong {
            assert!(stops_after(&free, text).is_some());
        }
    }
}
