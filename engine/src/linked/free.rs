//! Free text: whole code points in which no trigger occurs, or of which the first trigger is the
//! end. Triggers are found by the automaton of Aho and Corasick ("Efficient string matching",
//! 1975), whatever tokens they are split over.

use std::collections::VecDeque;
use std::sync::Arc;

use super::LinkedReader;
use super::place::{Head, Thread};
use crate::envelope::FreeText;
use crate::mask::Mask;
use crate::vocabulary::{ALL_PLAIN, SPECIAL, Trie, Vocabulary, allow, forbid, signature_bit};

/// What a byte does to free text.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum FreeStep {
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
pub(super) struct Automaton {
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

impl LinkedReader {
    /// The tokens that go on with free text, or out of it into what follows.
    pub(super) fn free_mask(&mut self, vocabulary: &Vocabulary, thread: Thread) -> Arc<Mask> {
        if let Some(known) = self.free_masks.get(&thread) {
            return Arc::clone(known);
        }
        let mask = Arc::new(self.work_out_free_mask(vocabulary, thread));
        if self.places.exhausted.is_none() {
            self.free_masks.insert(thread, Arc::clone(&mask));
        }
        mask
    }

    fn work_out_free_mask(&mut self, vocabulary: &Vocabulary, thread: Thread) -> Mask {
        let Head::Free { piece, state } = thread.head else {
            return Mask::default();
        };
        let automaton = self.places.automaton(piece);
        let after = self.places.after(thread.rest);
        let goes_on = !self.first_bytes(after).is_empty();
        let mut walk = FreeWalk::new(&automaton, vocabulary, state);
        walk.run();
        let FreeWalk { base, left, .. } = walk;
        let (mut tokens, trie) = (Vec::new(), vocabulary.trie());
        for node in left {
            if goes_on {
                self.walk(trie, below(trie, node), after, &mut tokens);
            }
        }
        Mask::new(Some(base.into()), tokens)
    }
}

fn below(trie: &Trie, node: usize) -> (usize, usize) {
    (node + 1, trie.ends[node] as usize)
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
    /// Nodes at which the text may be left.
    left: Vec<usize>,
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

    fn run(&mut self) {
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
                    self.left.push(node);
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
                self.left.push(node);
            }
            node += 1;
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
