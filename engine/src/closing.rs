//! Shortest endings in tokens, and sequences that end in time.
//!
//! A reader knows something that ends the text soon (`Reader::ending`). A sequence that shall end in
//! time keeps one *ending* that fits what is left of its budget, for every place that it comes to:
//! a token is taken only if one is known that fits after it. Masks stay what they are, so that this
//! costs one ending a token, whatever the vocabulary, and most of these are remembered. Where a
//! token that was chosen leaves no room, a *closing mask* has some that do: always the first one of
//! the ending that is known, so that there is a way to the end at every step.

use std::sync::Arc;

use crate::cursor::take;
use crate::hashing::IdMap;
use crate::index::Working;
use crate::machine::Configuration;
use crate::reader::Reader;
use crate::vocabulary::{Trie, Vocabulary, WORD_BITS};

/// More tokens than any text has: no ending is known.
pub(crate) const FAR: u32 = u32::MAX;
/// Tokens of a mask of which each is looked at for a closing mask; of more, none but one is.
const MAX_JUDGED: usize = 64;
/// Places that a search for an ending may meet.
const MAX_PLACES: usize = 4_096;
/// Endings that are remembered; then all are forgotten.
const MAX_KEPT: usize = 16_384;
/// Bytes of endings that are remembered, and what each takes beside its own.
const MAX_KEPT_BYTES: usize = 1 << 23;
const ENTRY_BYTES: usize = 64;
/// Bytes and special tokens that an ending may have.
pub(crate) const MAX_ENDING: usize = 1 << 18;

/// What ends a text: bytes, and the special tokens between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ending {
    bytes: Vec<u8>,
    /// Special tokens, each with the number of bytes before it, in order.
    specials: Vec<(usize, u32)>,
}

impl Ending {
    /// Of bytes alone.
    pub fn of_text(bytes: Vec<u8>) -> Self {
        let specials = Vec::new();
        Ending { bytes, specials }
    }

    /// Of one special token.
    pub fn of_special(id: u32) -> Self {
        let (bytes, specials) = (Vec::new(), vec![(0, id)]);
        Ending { bytes, specials }
    }

    /// Goes on with another one.
    pub fn extend(&mut self, other: &Ending) {
        let before = self.bytes.len();
        let moved = other
            .specials
            .iter()
            .map(|(place, id)| (before + place, *id));
        self.specials.extend(moved);
        self.bytes.extend_from_slice(&other.bytes);
    }

    /// Bytes and special tokens: as many tokens as it takes, where every byte is one, at most.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.specials.len()
    }

    /// What is left behind a token, if it begins with it.
    fn after(&self, vocabulary: &Vocabulary, token: u32) -> Option<Ending> {
        let bytes = vocabulary.token_bytes(token);
        let first = self.specials.first().copied();
        if bytes.is_empty() {
            return (first == Some((0, token))).then(|| self.without(0, 1));
        }
        let is_free = first.is_none_or(|(place, _)| place >= bytes.len());
        (is_free && self.bytes.starts_with(bytes)).then(|| self.without(bytes.len(), 0))
    }

    fn without(&self, bytes: usize, specials: usize) -> Ending {
        let left = self.specials[specials..].iter();
        Ending {
            bytes: self.bytes[bytes..].into(),
            specials: left.map(|(place, id)| (place - bytes, *id)).collect(),
        }
    }

    /// Its tokens, as few as can be; None where the vocabulary cannot spell it.
    fn tokens(&self, vocabulary: &Vocabulary) -> Option<Vec<u32>> {
        let (mut tokens, mut start) = (Vec::new(), 0);
        for (place, id) in &self.specials {
            tokens.extend(cut(vocabulary, &self.bytes[start..*place])?);
            tokens.push(*id);
            start = *place;
        }
        tokens.extend(cut(vocabulary, &self.bytes[start..])?);
        Some(tokens)
    }

    /// Whether it takes at most so many tokens, an end token counted.
    fn fits(&self, vocabulary: &Vocabulary, left: u32) -> bool {
        let text = left.saturating_sub(1) as usize;
        if self.size() <= text && spells_every_byte(vocabulary) {
            return left > 0;
        }
        let tokens = self.tokens(vocabulary);
        left > 0 && tokens.is_some_and(|tokens| tokens.len() <= text)
    }
}

/// What is remembered of endings.
#[derive(Default)]
pub(crate) struct Ends {
    known: IdMap<Configuration, Option<Arc<Ending>>>,
    /// Bytes of the endings, about.
    pub(crate) bytes: usize,
}

/// A sequence that shall end within some tokens.
#[derive(Clone, Debug)]
pub(crate) struct Closing {
    /// Tokens that may still come, the end token counted.
    left: u32,
    /// What is known to end the text in time, from each place since it was asked to.
    endings: Vec<Arc<Ending>>,
}

impl Closing {
    /// An ending that fits, if it does.
    pub fn begin(vocabulary: &Vocabulary, left: u32, ending: Arc<Ending>) -> Option<Self> {
        let endings = vec![ending];
        let fits = endings[0].fits(vocabulary, left);
        fits.then_some(Closing { left, endings })
    }

    fn ending(&self) -> &Arc<Ending> {
        &self.endings[self.endings.len() - 1]
    }

    /// The first token of the way that is known, None at the end of the text.
    pub fn first(&self, vocabulary: &Vocabulary) -> Option<u32> {
        self.ending().tokens(vocabulary)?.first().copied()
    }

    /// An ending that still fits after a token; None where none is known.
    pub fn after(
        &self,
        working: &mut Working,
        vocabulary: &Vocabulary,
        at: Configuration,
        token: u32,
    ) -> Option<Arc<Ending>> {
        if vocabulary.end_ids().contains(&token) && working.may_end(at) {
            return Some(Arc::default());
        }
        let next = take(&mut *working.reader, vocabulary, at, token)?;
        let left = self.left.checked_sub(1)?;
        let found = working.ending_from(next);
        let found = found.filter(|ending| ending.fits(vocabulary, left));
        let planned = || self.ending().after(vocabulary, token).map(Arc::new);
        found.or_else(|| planned().filter(|ending| ending.fits(vocabulary, left)))
    }

    /// After one more token, from which this ends the text.
    pub fn advance(&mut self, ending: Arc<Ending>) {
        self.left = self.left.saturating_sub(1);
        self.endings.push(ending);
    }

    /// Before the last tokens; None before it was asked to end.
    pub fn roll_back(mut self, tokens: usize) -> Option<Self> {
        let left = self.endings.len().checked_sub(tokens)?;
        self.endings.truncate(left);
        self.left = self
            .left
            .saturating_add(u32::try_from(tokens).unwrap_or(FAR));
        (left > 0).then_some(self)
    }
}

impl Working {
    /// What ends the text from a place soon; None where nothing is found.
    pub fn ending_from(&mut self, at: Configuration) -> Option<Arc<Ending>> {
        if let Some(known) = self.ends.known.get(&at) {
            return known.clone();
        }
        let ending = self.reader.ending(at).map(Arc::new);
        if self.limit_reached().is_some() {
            return None;
        }
        if self.ends.known.len() >= MAX_KEPT || self.ends.bytes > MAX_KEPT_BYTES {
            self.ends = Ends::default();
        }
        self.ends.bytes += ENTRY_BYTES + ending.as_ref().map_or(0, |ending| ending.size());
        self.ends.known.insert(at, ending.clone());
        ending
    }

    /// The tokens from here to the end, the end token counted; `FAR` where none are known.
    pub fn shortest_end(&mut self, vocabulary: &Vocabulary, at: Configuration) -> u32 {
        let ending = self.ending_from(at);
        let tokens = ending.and_then(|ending| ending.tokens(vocabulary));
        tokens.map_or(FAR, |tokens| u32::try_from(tokens.len() + 1).unwrap_or(FAR))
    }

    /// Tokens of a mask after which an ending still fits; not all of them, but always one.
    pub fn closing_tokens(
        &mut self,
        vocabulary: &Vocabulary,
        at: Configuration,
        mask: &[u32],
        closing: &Closing,
    ) -> Vec<u32> {
        let mut kept = tokens_of(mask);
        if kept.len() > MAX_JUDGED {
            kept.clear();
        }
        kept.retain(|token| closing.after(self, vocabulary, at, *token).is_some());
        kept.extend(closing.first(vocabulary));
        if self.may_end(at) {
            kept.extend_from_slice(vocabulary.end_ids());
        }
        kept
    }
}

/// Some of the tokens of a mask: all, or more than are looked at.
fn tokens_of(mask: &[u32]) -> Vec<u32> {
    let mut tokens = Vec::new();
    for (place, word) in mask.iter().enumerate() {
        let mut bits = *word;
        while bits != 0 && tokens.len() <= MAX_JUDGED {
            tokens.push((place * WORD_BITS) as u32 + bits.trailing_zeros());
            bits &= bits - 1;
        }
    }
    tokens
}

fn spells_every_byte(vocabulary: &Vocabulary) -> bool {
    let trie = vocabulary.trie();
    let mut bytes = 0;
    for node in siblings(trie, 0, trie.len()) {
        bytes += usize::from(!trie.tokens_at(node).is_empty());
    }
    bytes == 256
}

/// Nodes of one depth: the first of a range and those beside it.
fn siblings(trie: &Trie, first: usize, end: usize) -> impl Iterator<Item = usize> {
    let first = Some(first).filter(|node| *node < end);
    std::iter::successors(first, move |node| {
        Some(trie.ends[*node] as usize).filter(|next| *next < end)
    })
}

/// A text in as few tokens as can be.
fn cut(vocabulary: &Vocabulary, text: &[u8]) -> Option<Vec<u32>> {
    let trie = vocabulary.trie();
    // From each place on: how many tokens, and the first of them.
    let mut best: Vec<(u32, u32)> = vec![(FAR, 0); text.len()];
    best.push((0, 0));
    for start in (0..text.len()).rev() {
        let (mut first, mut end) = (0, trie.len());
        for place in start..text.len() {
            let Some(node) = siblings(trie, first, end).find(|n| trie.bytes[*n] == text[place])
            else {
                break;
            };
            let rest = best[place + 1].0;
            if let Some(token) = trie.tokens_at(node).first()
                && rest < FAR
                && rest + 1 < best[start].0
            {
                best[start] = (rest + 1, *token);
            }
            (first, end) = (node + 1, trie.ends[node] as usize);
        }
    }
    let (mut tokens, mut place) = (Vec::new(), 0);
    while place < text.len() {
        let (count, token) = best[place];
        if count == FAR {
            return None;
        }
        tokens.push(token);
        place += vocabulary.token_bytes(token).len();
    }
    Some(tokens)
}

/// The shortest bytes that end a text, by a search of all places; None where there are too many.
pub(crate) fn search_ending<R: Reader + ?Sized>(
    reader: &mut R,
    from: Configuration,
) -> Option<Vec<u8>> {
    let mut reached = IdMap::default();
    reached.insert(from, (from, 0));
    let mut open = std::collections::VecDeque::from([from]);
    let reserve = reader.fuel_left() / 2;
    while let Some(at) = open.pop_front() {
        if reader.fuel_left() < reserve {
            return None;
        }
        if reader.may_end(at) {
            return Some(way_back(&reached, from, at));
        }
        for byte in 0..=u8::MAX {
            let Some(next) = reader.step(at, byte) else {
                continue;
            };
            if !reached.contains_key(&next) && reached.len() < MAX_PLACES {
                reached.insert(next, (at, byte));
                open.push_back(next);
            }
        }
    }
    None
}

fn way_back(
    reached: &IdMap<Configuration, (Configuration, u8)>,
    from: Configuration,
    to: Configuration,
) -> Vec<u8> {
    let (mut at, mut bytes) = (to, Vec::new());
    while at != from {
        let (before, byte) = reached[&at];
        bytes.push(byte);
        at = before;
    }
    bytes.reverse();
    bytes
}
