//! Forced runs: where the text can go on in one way only, so do its tokens.
//!
//! From a place the *run* is what bytes must come next. Cut as the tokenizer would cut the whole
//! text, it gives tokens, as far as no text that the grammar allows makes the tokenizer cut it
//! otherwise. Such a token is *forced*: the mask of its place is that token alone, which is part of
//! what a mask is, so that it makes no difference who appends it. Elsewhere masks stay open: the
//! tokens that the tokenizer would write are never excluded.
//!
//! What is certain (`Cutter::certain`):
//!
//! * Tokens depend on the text since the last place where every text is split. They start there,
//!   with those that have been taken since (*pending*).
//! * Pieces that end within the run, whatever follows it, are cut as they are.
//! * Of a piece that may go on, some token is the first to reach beyond the run, or the piece or
//!   some token ends with the run. In each of these cases the tokens before it are known, as
//!   whether tokens stand in a text that byte pair encoding makes is decided by neighbours (Vieira
//!   et al., "Language models over canonical byte-pair encodings", 2025). What all cases have in
//!   common is certain.

use std::collections::HashMap;
use std::sync::Arc;

use crate::hashing::IdMap;
use crate::machine::Configuration;
use crate::reader::{NextByte, Reader};
use crate::tokenisation::{Tokenisation, first_character};
use crate::vocabulary::Vocabulary;

mod cutter;
mod open_pieces;
#[cfg(test)]
mod tests;

use cutter::Cutter;
pub(crate) use open_pieces::OpenPieces;

/// Bytes that a run has at most: what comes later is found out later.
const MAX_RUN: usize = 96;
/// The same where no text is split.
const MAX_UNSPLIT_RUN: usize = 24;
/// Bytes back to the last place where every text is split, at most.
const MAX_PENDING: usize = 96;
/// Tokens of a text that are looked at: one more than such bytes can be, and one before them.
pub(crate) const MAX_PENDING_TOKENS: usize = MAX_PENDING + 2;
/// Places, and runs with what comes before them, that are remembered.
const MAX_KNOWN: usize = 1 << 16;
/// What a remembered run takes beside its tokens.
const ENTRY_BYTES: usize = 96;

/// What comes next in the text.
#[derive(Copy, Clone, Debug)]
enum Next {
    /// This byte, which leads there.
    Byte(u8, Configuration),
    /// Nothing: an end or a special token comes.
    Nothing,
    /// One of several bytes or special tokens, or an end.
    Open,
}

/// The bytes that must come next.
#[derive(Debug)]
struct Run {
    bytes: Vec<u8>,
    end: Configuration,
    /// Nothing follows.
    is_final: bool,
}

/// The tokens that are forced after some others.
type Forced = Option<Arc<[u32]>>;

/// What is known of a reader's forced runs.
#[derive(Default)]
pub(crate) struct Runs {
    next: IdMap<Configuration, Next>,
    /// By the place and the tokens pending there.
    forced: HashMap<(Configuration, Box<[u32]>), Forced>,
    /// Bytes of `forced`, about.
    forced_bytes: usize,
}

impl Runs {
    /// About how many bytes it takes.
    pub fn bytes(&self) -> usize {
        self.next.len() * 2 * size_of::<(Configuration, Next)>() + self.forced_bytes
    }

    /// Whether the text can go on in one way only.
    pub fn is_forced(&mut self, reader: &mut dyn Reader, at: Configuration) -> bool {
        matches!(self.next(reader, at.without_memory()), Next::Byte(..))
    }

    /// The tokens that are forced at a place, which some tokens led to; None where none is.
    pub fn forced(
        &mut self,
        reader: &mut dyn Reader,
        vocabulary: &Vocabulary,
        at: Configuration,
        tokens: &[u32],
    ) -> Forced {
        let (at, tokenisation) = (at.without_memory(), vocabulary.tokenisation()?);
        let Next::Byte(first, _) = self.next(reader, at) else {
            return None;
        };
        let pending = pending(tokenisation, vocabulary, tokens, first)?;
        let key = (at, pending.into());
        let known = match self.forced.get(&key) {
            Some(known) => known.clone(),
            None => self.work_out(reader, vocabulary, key),
        };
        known.filter(|_| {
            tokenisation.cut_first().is_empty() || {
                let run = self.run(reader, at, MAX_RUN);
                !may_be_cut_first(tokenisation, vocabulary, tokens, &run.bytes)
            }
        })
    }

    fn work_out(
        &mut self,
        reader: &mut dyn Reader,
        vocabulary: &Vocabulary,
        (at, pending): (Configuration, Box<[u32]>),
    ) -> Forced {
        let tokenisation = vocabulary.tokenisation()?;
        let longest = match tokenisation.splits() {
            true => MAX_RUN,
            false => MAX_UNSPLIT_RUN,
        };
        let mut run = self.run(reader, at, longest);
        if tokenisation.is_ascii_only() && !run.bytes.is_ascii() {
            let is_beyond = |byte: &u8| !byte.is_ascii();
            let end = run.bytes.iter().position(is_beyond).unwrap_or(0);
            return self.cut_short(vocabulary, &pending, &run.bytes[..end]);
        }
        run.bytes.shrink_to_fit();
        let forced = Cutter {
            tokenisation,
            vocabulary,
            pending: &pending,
            follows: Some((reader, run.end)),
        }
        .forced(&run.bytes, run.is_final);
        let forced: Forced = forced.map(Into::into);
        if reader.limit_reached().is_none() {
            if self.forced.len() > MAX_KNOWN {
                self.forced.clear();
                self.forced_bytes = 0;
            }
            let tokens = pending.len() + forced.as_ref().map_or(0, |run| run.len());
            self.forced_bytes += ENTRY_BYTES + size_of::<u32>() * tokens;
            self.forced.insert((at, pending), forced.clone());
        }
        forced
    }

    /// The same for a run of which something comes that is not to be looked at.
    fn cut_short(&self, vocabulary: &Vocabulary, pending: &[u32], bytes: &[u8]) -> Forced {
        let mut cutter = Cutter {
            tokenisation: vocabulary.tokenisation()?,
            vocabulary,
            pending,
            follows: None,
        };
        cutter.forced(bytes, false).map(Into::into)
    }

    fn run(&mut self, reader: &mut dyn Reader, from: Configuration, longest: usize) -> Run {
        let mut run = Run {
            bytes: Vec::new(),
            end: from,
            is_final: false,
        };
        while run.bytes.len() < longest {
            match self.next(reader, run.end) {
                Next::Byte(byte, to) => {
                    run.bytes.push(byte);
                    run.end = to;
                }
                next => {
                    run.is_final = matches!(next, Next::Nothing);
                    break;
                }
            }
        }
        run
    }

    fn next(&mut self, reader: &mut dyn Reader, at: Configuration) -> Next {
        if let Some(known) = self.next.get(&at) {
            return *known;
        }
        let next = match reader.next_byte(at) {
            NextByte::Nothing => Next::Nothing,
            NextByte::Only(byte) if !reader.may_end(at) && !reader.may_take_special(at) => {
                let to = reader.step(at, byte);
                to.map_or(Next::Open, |to| Next::Byte(byte, to.without_memory()))
            }
            _ => Next::Open,
        };
        if reader.limit_reached().is_none() {
            if self.next.len() > MAX_KNOWN {
                self.next.clear();
            }
            self.next.insert(at, next);
        }
        next
    }
}

/// The last tokens, from the last place on where every text is split that goes on with a byte;
/// None where that is not to be found, or is inside a token.
fn pending<'a>(
    tokenisation: &Tokenisation,
    vocabulary: &Vocabulary,
    tokens: &'a [u32],
    next: u8,
) -> Option<&'a [u32]> {
    if !tokenisation.splits() {
        // Merging decides by neighbours; how a text begins, tokenizers do not agree on.
        let last = tokens
            .last()
            .filter(|id| !vocabulary.token_bytes(**id).is_empty());
        return last.map(|_| &tokens[tokens.len() - 1..]);
    }
    let (start, is_start) = window(vocabulary, tokens);
    let mut text = vocabulary.bytes_of(&tokens[start..]);
    let mut end = text.len();
    text.push(next);
    for place in (start..=tokens.len()).rev() {
        if splits_at(tokenisation, &text, end) || end == 0 && is_start {
            return Some(&tokens[place..]);
        }
        if place > start {
            end -= vocabulary.token_bytes(tokens[place - 1]).len();
        }
    }
    None
}

/// Where the tokens begin that are looked at, and whether the text begins there.
fn window(vocabulary: &Vocabulary, tokens: &[u32]) -> (usize, bool) {
    let (mut start, mut size) = (tokens.len(), 0);
    while start > 0 && size <= MAX_PENDING {
        match vocabulary.token_bytes(tokens[start - 1]).len() {
            0 => return (start, true),
            length => size += length,
        }
        start -= 1;
    }
    (start, start == 0)
}

/// Whether every text is split at a place that goes on as this one.
fn splits_at(tokenisation: &Tokenisation, text: &[u8], place: usize) -> bool {
    let is_first = |place: &usize| text[*place] & 0xC0 != 0x80;
    let before = (place.saturating_sub(4)..place).rev().find(is_first);
    let before = before.and_then(|start| first_character(&text[start..place]));
    let after = text.get(place..).and_then(first_character);
    match (before, after) {
        (Some((one, _)), Some((other, _))) => tokenisation.always_splits(one, other),
        _ => false,
    }
}

/// Whether some text that goes on so might hold, here or soon, what is cut out before all else.
fn may_be_cut_first(
    tokenisation: &Tokenisation,
    vocabulary: &Vocabulary,
    tokens: &[u32],
    run: &[u8],
) -> bool {
    let (start, _) = window(vocabulary, tokens);
    let text = [&vocabulary.bytes_of(&tokens[start..]), run].concat();
    let is_in = |cut: &[u8]| {
        (0..text.len()).any(|place| {
            let rest = &text[place..];
            rest.starts_with(cut) || cut.starts_with(rest)
        })
    };
    let mut cuts = tokenisation.cut_first().iter();
    cuts.any(|id| is_in(vocabulary.token_bytes(*id)))
}
