//! Shortest endings in tokens, and masks after which an ending still fits what is left.
//!
//! A reader knows some bytes that end the text soon (`Reader::ending`); cut into as few tokens as
//! can be, they are a *plan*. A closing mask keeps the tokens after which a plan still fits, and
//! always the first token of the plan at hand, so that there is a way to the end at every step. Far
//! from the end that is the ordinary mask: how long a plan may be after any token of a place is
//! worked out once and remembered. Inside a string this is bounded, not tried token by token.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::cursor::take;
use crate::hashing::IdMap;
use crate::index::Working;
use crate::machine::Configuration;
use crate::mask::Mask;
use crate::reader::Reader;
use crate::vocabulary::{Trie, Vocabulary, WORD_BITS};

/// More tokens than any text has: no ending is known.
pub(crate) const FAR: u32 = u32::MAX;
/// Endings that are worked out for one mask; tokens beyond them count as not fitting.
const MAX_JUDGED: usize = 1_024;
/// Places that a search for an ending may meet.
const MAX_PLACES: usize = 4_096;

/// What is remembered of endings, in tokens, the end token counted.
#[derive(Default)]
pub(crate) struct Ends {
    /// From a place to the end.
    shortest: IdMap<Configuration, u32>,
    /// The most after any token that may come at a place.
    most: IdMap<Configuration, u32>,
}

/// A sequence that shall end within some tokens.
#[derive(Clone, Debug)]
pub(crate) struct Closing {
    /// Tokens that may still come, the end token counted.
    pub left: u32,
    /// A way to the end that fits, as far as it is known: the tokens of its text.
    pub plan: Option<VecDeque<u32>>,
}

impl Closing {
    /// After one more token.
    pub fn advance(&mut self, token: u32) {
        self.left = self.left.saturating_sub(1);
        let is_planned = self.plan.as_ref().and_then(VecDeque::front) == Some(&token);
        match &mut self.plan {
            Some(plan) if is_planned => _ = plan.pop_front(),
            plan => *plan = None,
        }
    }

    /// Before the last tokens.
    pub fn roll_back(&mut self, tokens: usize) {
        let tokens = u32::try_from(tokens).unwrap_or(FAR);
        (self.left, self.plan) = (self.left.saturating_add(tokens), None);
    }
}

/// What the endings of one mask may cost: so many, and a part of the fuel.
struct Judging {
    endings: usize,
    /// Fuel that is left to the rest of the mask.
    reserve: u64,
}

impl Judging {
    fn within(reader: &dyn Reader) -> Self {
        let (endings, reserve) = (0, reader.fuel_left() / 2);
        Judging { endings, reserve }
    }
}

impl Working {
    /// The tokens of a short text that ends here; None where none is found.
    pub fn plan(&mut self, vocabulary: &Vocabulary, at: Configuration) -> Option<VecDeque<u32>> {
        let text = self.reader.ending(at)?;
        cut(vocabulary, &text)
    }

    /// The tokens from here to the end, the end token counted; `FAR` where none are known.
    pub fn shortest_end(&mut self, vocabulary: &Vocabulary, at: Configuration) -> u32 {
        if let Some(known) = self.ends.shortest.get(&at) {
            return *known;
        }
        let plan = self.plan(vocabulary, at);
        let tokens = plan.map_or(FAR, |plan| u32::try_from(plan.len() + 1).unwrap_or(FAR));
        if self.limit_reached().is_none() {
            self.ends.shortest.insert(at, tokens);
        }
        tokens
    }

    /// The tokens of a mask after which some ending takes at most `left - 1` more tokens.
    pub fn closing_mask(
        &mut self,
        vocabulary: &Vocabulary,
        at: Configuration,
        mask: Arc<Mask>,
        closing: &mut Closing,
    ) -> Arc<Mask> {
        let fits = closing.left.saturating_sub(1);
        if self.most_after(vocabulary, at, &mask) <= fits {
            return mask;
        }
        let plan = match closing.plan.take() {
            Some(plan) => Some(plan),
            None => self
                .plan(vocabulary, at)
                .filter(|plan| plan.len() < closing.left as usize),
        };
        let mut kept = self.fitting(vocabulary, at, &mask, fits);
        kept.extend(plan.as_ref().and_then(VecDeque::front));
        closing.plan = plan;
        Arc::new(Mask::new(None, kept))
    }

    fn fitting(
        &mut self,
        vocabulary: &Vocabulary,
        at: Configuration,
        mask: &Mask,
        fits: u32,
    ) -> Vec<u32> {
        let all_in_text = self
            .most_in_text(vocabulary, at)
            .filter(|most| *most <= fits);
        let mut judging = Judging::within(&*self.reader);
        let mut tokens = tokens_of(mask, vocabulary);
        tokens.retain(|token| {
            let stays = || !vocabulary.token_bytes(*token).contains(&b'"');
            all_in_text.is_some() && stays()
                || self.end_after(vocabulary, at, *token, &mut judging) <= fits
        });
        tokens
    }

    /// The most tokens to the end after any token of the mask.
    fn most_after(&mut self, vocabulary: &Vocabulary, at: Configuration, mask: &Mask) -> u32 {
        if let Some(known) = self.ends.most.get(&at) {
            return *known;
        }
        let in_text = self.most_in_text(vocabulary, at);
        let tokens = match in_text {
            Some(_) => exits_of(mask, vocabulary),
            None => tokens_of(mask, vocabulary),
        };
        let (mut most, mut judging) = (in_text.unwrap_or(0), Judging::within(&*self.reader));
        for token in tokens {
            if most < FAR {
                most = most.max(self.end_after(vocabulary, at, token, &mut judging));
            }
        }
        if self.limit_reached().is_none() {
            self.ends.most.insert(at, most);
        }
        most
    }

    /// The same for tokens that stay in the string, bounded: a byte is a token at most.
    fn most_in_text(&mut self, vocabulary: &Vocabulary, at: Configuration) -> Option<u32> {
        let bytes = self.reader.most_bytes_in_text(at)?;
        spells_every_byte(vocabulary).then(|| bytes.saturating_add(1))
    }

    fn end_after(
        &mut self,
        vocabulary: &Vocabulary,
        at: Configuration,
        token: u32,
        judging: &mut Judging,
    ) -> u32 {
        let Some(next) = take(&mut *self.reader, vocabulary, at, token) else {
            return FAR;
        };
        if !self.ends.shortest.contains_key(&next) {
            judging.endings += 1;
            if judging.endings > MAX_JUDGED || self.reader.fuel_left() < judging.reserve {
                return FAR;
            }
        }
        self.shortest_end(vocabulary, next)
    }
}

fn words_of(mask: &Mask, vocabulary: &Vocabulary) -> Vec<u32> {
    let mut words = vec![0; vocabulary.words()];
    mask.write(&mut words);
    words
}

/// The tokens of a mask that hold a quote.
fn exits_of(mask: &Mask, vocabulary: &Vocabulary) -> Vec<u32> {
    let words = words_of(mask, vocabulary);
    let is_allowed =
        |id: &u32| words[*id as usize / WORD_BITS] >> (*id as usize % WORD_BITS) & 1 == 1;
    vocabulary.exits().tokens().filter(is_allowed).collect()
}

/// The tokens of a mask, end tokens left out.
fn tokens_of(mask: &Mask, vocabulary: &Vocabulary) -> Vec<u32> {
    let words = words_of(mask, vocabulary);
    let mut tokens = Vec::new();
    for (place, word) in words.into_iter().enumerate() {
        let mut bits = word;
        while bits != 0 {
            tokens.push((place * WORD_BITS) as u32 + bits.trailing_zeros());
            bits &= bits - 1;
        }
    }
    tokens.retain(|token| !vocabulary.end_ids().contains(token));
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
fn cut(vocabulary: &Vocabulary, text: &[u8]) -> Option<VecDeque<u32>> {
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
    let mut tokens = VecDeque::new();
    let mut place = 0;
    while place < text.len() {
        let (count, token) = best[place];
        if count == FAR {
            return None;
        }
        tokens.push_back(token);
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
    let mut open = VecDeque::from([from]);
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
