//! What is remembered, for all indexes of a vocabulary, of pieces that may go on: what their
//! beginnings merge to, and the tokens that reach beyond them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::cutter::{is_written, may_hold};
use crate::tokenisation::Tokenisation;
use crate::vocabulary::Vocabulary;

/// Tokens that begin with some bytes and are looked at one by one; of more it is taken for granted
/// that one fits.
const MAX_LISTED: usize = 2_048;
/// Places of pieces that are remembered.
const MAX_PLACES: usize = 8_192;

/// The pieces that were met, by what they are so far.
#[derive(Debug, Default)]
pub(crate) struct OpenPieces(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    pieces: HashMap<Box<[u8]>, Arc<OpenPiece>>,
    places: usize,
}

impl OpenPieces {
    /// A piece, old or new.
    pub fn get(&self, piece: &[u8]) -> Arc<OpenPiece> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = known.pieces.get(piece) {
            return Arc::clone(old);
        }
        if known.places > MAX_PLACES {
            *known = Known::default();
        }
        let new = Arc::new(OpenPiece::new(piece));
        known.places += piece.len() + 1;
        known.pieces.insert(piece.into(), Arc::clone(&new));
        new
    }
}

/// A piece that may go on.
#[derive(Debug)]
pub(crate) struct OpenPiece {
    text: Box<[u8]>,
    places: Vec<Place>,
    /// Whether a piece may go on with each byte.
    goes_on: Vec<Verdict>,
}

/// A place in a piece, its end among them.
#[derive(Debug, Default)]
struct Place {
    merged: OnceLock<Option<Box<[u32]>>>,
    /// Whether each of the tokens that begin there and reach beyond the piece may be written, in
    /// the order of the trie; None for too many.
    overhang: OnceLock<Option<Vec<Verdict>>>,
}

/// What is worked out once.
#[derive(Debug, Default)]
struct Verdict(AtomicU8);

const UNKNOWN: u8 = 0;
const NO: u8 = 1;
const YES: u8 = 2;

impl Verdict {
    fn get(&self, work_out: impl FnOnce() -> bool) -> bool {
        match self.0.load(Ordering::Relaxed) {
            UNKNOWN => {
                let verdict = work_out();
                let code = if verdict { YES } else { NO };
                self.0.store(code, Ordering::Relaxed);
                verdict
            }
            code => code == YES,
        }
    }
}

fn unknown(count: usize) -> Vec<Verdict> {
    std::iter::repeat_with(Verdict::default)
        .take(count)
        .collect()
}

impl OpenPiece {
    fn new(text: &[u8]) -> Self {
        OpenPiece {
            text: text.into(),
            places: (0..=text.len()).map(|_| Place::default()).collect(),
            goes_on: unknown(256),
        }
    }

    /// The tokens that its bytes up to a place merge to; None where they are not cut.
    pub fn merged(&self, tokenisation: &Tokenisation, end: usize) -> Option<&[u32]> {
        let merge = || tokenisation.merge(&self.text[..end]).map(Into::into);
        self.places[end].merged.get_or_init(merge).as_deref()
    }

    /// Whether the tokenizer may write some token that begins at a place, reaches beyond the piece
    /// and can be read there; `step` reads a byte.
    pub fn some_beyond<Place: Copy>(
        &self,
        vocabulary: &Vocabulary,
        tokenisation: &Tokenisation,
        from: usize,
        end: Place,
        mut step: impl FnMut(Place, u8) -> Option<Place>,
    ) -> bool {
        let (trie, begun) = (vocabulary.trie(), &self.text[from..]);
        let Some(root) = trie.node_of(begun) else {
            return begun.is_empty();
        };
        let count = trie.tokens_below(root).len();
        let listed = || (count <= MAX_LISTED).then(|| unknown(count));
        let Some(verdicts) = self.places[from].overhang.get_or_init(listed) else {
            return true;
        };
        let Some(before) = self.merged(tokenisation, from) else {
            return true;
        };
        let may_be_written = |node: usize| {
            let first = trie.tokens_before(node) - trie.tokens_before(root);
            let mut tokens = (first..).zip(trie.tokens_at(node));
            tokens.any(|(place, id)| {
                let token = (*id, vocabulary.token_bytes(*id));
                let text = &self.text[..from];
                verdicts[place].get(|| is_written(tokenisation, text, token, before))
            })
        };
        let mut open = vec![(root, end)];
        while let Some((node, at)) = open.pop() {
            for place in trie.children(Some(node)) {
                let (child, byte) = trie.child(place);
                if node == root && !self.goes_on(tokenisation, byte) {
                    continue;
                }
                // What can be read is found out first: mostly much can, and the first token will do.
                let Some(next) = step(at, byte) else { continue };
                if may_be_written(child) {
                    return true;
                }
                open.push((child, next));
            }
        }
        false
    }

    /// Whether some piece begins so and goes on with a byte.
    fn goes_on(&self, tokenisation: &Tokenisation, next: u8) -> bool {
        self.goes_on[usize::from(next)].get(|| may_hold(tokenisation, &self.text, &[next]))
    }
}
