//! Masks without the tokens that would write an undeclared key once more.
//!
//! What could write one is found by the memory alone: tokens that hold a whole key between quotes,
//! and tokens that end one that is being written. Which of these the mask of a place loses is found
//! by reading them, once for each place with its memory.

use std::sync::Arc;

use crate::grammar::Grammar;
use crate::hashing::IdMap;
use crate::machine::Configuration;
use crate::mask::Mask;
use crate::memory::MemoryId;
use crate::vocabulary::Vocabulary;

/// What has been found out so far.
#[derive(Default)]
pub(crate) struct Repeats {
    /// By the open values and their keys: the tokens that hold one of these keys.
    named: IdMap<MemoryId, Arc<[u32]>>,
    /// By memory: all tokens that could write a key once more.
    suspects: IdMap<MemoryId, Arc<[u32]>>,
    masks: IdMap<Configuration, Arc<Mask>>,
    bytes: usize,
}

/// What an entry takes besides its tokens.
const ENTRY: usize = 64;

impl Repeats {
    /// The mask of a place and its memory, if it was worked out before.
    pub fn known(&self, at: Configuration) -> Option<Arc<Mask>> {
        self.masks.get(&at).cloned()
    }

    /// Remembers one.
    pub fn keep(&mut self, at: Configuration, mask: &Arc<Mask>) {
        self.bytes += ENTRY + mask.bytes();
        self.masks.insert(at, Arc::clone(mask));
    }

    /// About how many bytes it takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Tokens that could write an undeclared key once more; all others cannot.
    pub fn suspects(
        &mut self,
        grammar: &Grammar,
        vocabulary: &Vocabulary,
        memory: MemoryId,
    ) -> Arc<[u32]> {
        if let Some(known) = self.suspects.get(&memory) {
            return Arc::clone(known);
        }
        let height = vocabulary.trie().height();
        let found: Arc<[u32]> =
            if grammar.writing.all_spellings || !grammar.are_plain(memory, height) {
                vocabulary.exits().tokens().collect()
            } else {
                let named = self.named(grammar, vocabulary, memory, height);
                let mut endings = grammar.key_endings(memory);
                endings.iter_mut().for_each(|ending| ending.push(b'"'));
                let ending = |ending: &Vec<u8>| vocabulary.trie().beginning_with(ending).iter();
                let ends: Vec<u32> = endings.iter().flat_map(ending).copied().collect();
                match ends.is_empty() {
                    true => named,
                    false => named.iter().copied().chain(ends).collect(),
                }
            };
        self.bytes += ENTRY + size_of_val(&*found);
        self.suspects.insert(memory, Arc::clone(&found));
        found
    }

    fn named(
        &mut self,
        grammar: &Grammar,
        vocabulary: &Vocabulary,
        memory: MemoryId,
        depth: usize,
    ) -> Arc<[u32]> {
        let values = grammar.machine.memories.forget_key(memory);
        if let Some(known) = self.named.get(&values) {
            return Arc::clone(known);
        }
        let mut named = Vec::new();
        grammar.each_undeclared(values, depth, |key| {
            let tokens = vocabulary.exits().named(key);
            named.extend_from_slice(tokens.unwrap_or_default());
        });
        let named: Arc<[u32]> = named.into();
        self.bytes += ENTRY + size_of_val(&*named);
        self.named.insert(values, Arc::clone(&named));
        named
    }
}

/// A mask without those of some tokens that cannot be read.
pub(crate) fn without_unread(
    vocabulary: &Vocabulary,
    mask: &Arc<Mask>,
    suspects: &[u32],
    mut is_read: impl FnMut(&[u8]) -> bool,
) -> Arc<Mask> {
    if suspects.is_empty() {
        return Arc::clone(mask);
    }
    let mut written = vec![0; vocabulary.words()];
    mask.write(&mut written);
    let is_allowed = |id: u32| written[id as usize / 32] >> (id % 32) & 1 == 1;
    let repeats = |id: &u32| is_allowed(*id) && !is_read(vocabulary.token_bytes(*id));
    let repeating: Vec<u32> = suspects.iter().copied().filter(repeats).collect();
    match repeating.is_empty() {
        true => Arc::clone(mask),
        false => Arc::new(mask.without(&repeating)),
    }
}
