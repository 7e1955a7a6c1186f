//! Byte pair encoding (Sennrich, Haddow and Birch, "Neural machine translation of rare words with
//! subword units", 2016): one piece of text to tokens.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use crate::hashing::{IdHasher, IdMap};

/// How two neighbouring tokens become one.
#[derive(Debug)]
pub(super) enum Merges {
    /// A list, the earliest first: by the pair, its place in the list and what it becomes.
    Listed(IdMap<(u32, u32), (u32, u32)>),
    /// Any two whose text is a token's, the least id first.
    ByText(Arc<TokensByText>),
}

/// Tokens by their bytes.
#[derive(Debug, Default)]
pub(super) struct TokensByText {
    ids: HashMap<Box<[u8]>, u32, BuildHasherDefault<IdHasher>>,
}

impl TokensByText {
    /// Those of some tokens; of several with the same bytes the first.
    pub fn new<'a>(tokens: impl Iterator<Item = (u32, &'a [u8])>) -> Self {
        let most = tokens.size_hint().1.unwrap_or(0);
        let mut ids = HashMap::with_capacity_and_hasher(most, Default::default());
        for (id, bytes) in tokens {
            ids.entry(bytes.into()).or_insert(id);
        }
        Self { ids }
    }

    /// The token with some bytes.
    pub fn find(&self, bytes: &[u8]) -> Option<u32> {
        self.ids.get(bytes).copied()
    }
}

/// A token on the way, and where its text ends.
type Symbol = (u32, usize);

impl Merges {
    /// Merges the symbols of a text until none can be: always the pair that is to be merged first,
    /// of equal ones the leftmost.
    pub fn apply(&self, text: &[u8], mut symbols: Vec<Symbol>) -> Vec<u32> {
        let start = |symbols: &[Symbol], place: usize| match place {
            0 => 0,
            _ => symbols[place - 1].1,
        };
        let pair = |symbols: &[Symbol], place: usize| {
            let (one, other) = (symbols[place], symbols.get(place + 1)?);
            let bytes = &text[start(symbols, place)..other.1];
            self.merge(one.0, other.0, bytes)
        };
        let mut ranks: Vec<Option<(u32, u32)>> = (0..symbols.len())
            .map(|place| pair(&symbols, place))
            .collect();
        loop {
            let ranked = ranks.iter().enumerate();
            let first = ranked.filter_map(|(place, rank)| rank.map(|(rank, id)| (rank, place, id)));
            let Some((_, place, id)) = first.min() else {
                return symbols.into_iter().map(|(id, _)| id).collect();
            };
            symbols[place] = (id, symbols[place + 1].1);
            symbols.remove(place + 1);
            ranks.remove(place + 1);
            ranks[place] = pair(&symbols, place);
            if place > 0 {
                ranks[place - 1] = pair(&symbols, place - 1);
            }
        }
    }

    /// How early two tokens are merged, and what they become.
    fn merge(&self, one: u32, other: u32, text: &[u8]) -> Option<(u32, u32)> {
        match self {
            Merges::Listed(list) => list.get(&(one, other)).copied(),
            Merges::ByText(tokens) => tokens.find(text).map(|id| (id, id)),
        }
    }
}
