//! What is remembered, for all indexes of a vocabulary, of tokens that reach beyond a piece so far.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::vocabulary::Vocabulary;

/// Tokens that begin with some bytes and are looked at one by one; of more it is taken for granted
/// that one fits.
const MAX_LISTED: usize = 2_048;
/// Pieces that are remembered.
const MAX_PIECES: usize = 4_096;

/// By a piece so far and one of its places.
#[derive(Debug, Default)]
pub(crate) struct Overhangs(Mutex<Known>);

type Known = HashMap<(Box<[u8]>, usize), Arc<Overhang>>;

/// The tokens that reach beyond a piece from a place, in the order of the trie.
#[derive(Debug)]
pub(crate) struct Overhang(Vec<AtomicU8>);

const UNKNOWN: u8 = 0;
const NO: u8 = 1;
const YES: u8 = 2;

impl Overhangs {
    /// Those of a place of a piece; None for too many.
    pub fn get(&self, vocabulary: &Vocabulary, piece: &[u8], from: usize) -> Option<Arc<Overhang>> {
        let count = vocabulary.trie().beginning_with(&piece[from..]).len();
        if count > MAX_LISTED {
            return None;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_PIECES {
            known.clear();
        }
        let entry = known.entry((piece.into(), from)).or_insert_with(|| {
            let unknown = (0..count).map(|_| AtomicU8::new(UNKNOWN));
            Arc::new(Overhang(unknown.collect()))
        });
        Some(Arc::clone(entry))
    }
}

impl Overhang {
    /// Whether a tokenizer may write one of them there, worked out once.
    pub fn is_written(&self, place: usize, work_out: impl FnOnce() -> bool) -> bool {
        match self.0[place].load(Ordering::Relaxed) {
            UNKNOWN => {
                let is_written = work_out();
                let code = if is_written { YES } else { NO };
                self.0[place].store(code, Ordering::Relaxed);
                is_written
            }
            code => code == YES,
        }
    }
}
