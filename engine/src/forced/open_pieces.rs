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

    /// Whether `fits` says so of what some token that begins at a place has beyond the piece, of
    /// those that the tokenizer may write there.
    pub fn some_beyond(
        &self,
        vocabulary: &Vocabulary,
        tokenisation: &Tokenisation,
        from: usize,
        mut fits: impl FnMut(&[u8]) -> bool,
    ) -> bool {
        let begun = &self.text[from..];
        let ids = vocabulary.trie().beginning_with(begun);
        let listed = || (ids.len() <= MAX_LISTED).then(|| unknown(ids.len()));
        let Some(verdicts) = self.places[from].overhang.get_or_init(listed) else {
            return true;
        };
        let Some(before) = self.merged(tokenisation, from) else {
            return true;
        };
        ids.iter().zip(verdicts).any(|(id, verdict)| {
            let bytes = || vocabulary.token_bytes(*id);
            let may_be_written = || {
                let next = bytes().get(begun.len());
                next.is_some_and(|next| {
                    self.goes_on(tokenisation, *next)
                        && is_written(tokenisation, &self.text[..from], (*id, bytes()), before)
                })
            };
            verdict.get(may_be_written) && fits(&bytes()[begun.len()..])
        })
    }

    /// Whether some piece begins so and goes on with a byte.
    fn goes_on(&self, tokenisation: &Tokenisation, next: u8) -> bool {
        self.goes_on[usize::from(next)].get(|| may_hold(tokenisation, &self.text, &[next]))
    }
}
