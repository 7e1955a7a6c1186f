//! Closed parts of masks as bytes: what differs from a base, and bases as what differs from one
//! that the vocabulary knows.
//!
//! A part: its base from 1, or 0; the tokens of the base that it forbids; its other tokens; its
//! exits. Those are none (0), all of the exits of free text (1), those after so many code points
//! (2, the least and the most), or some of them (3, their places). A base: what it is like (0
//! nothing; 1 free text; 2 and a length; 3, a signature of 16 bytes and a length), then the tokens
//! in which it differs.

use std::sync::Arc;

use crate::closed::{Closed, Recipe};
use crate::error::EngineError;
use crate::frozen_tables::{Input, write_count, write_list, write_number};
use crate::vocabulary::{FreeTokens, Vocabulary};

/// A closed part that was read.
pub(crate) struct Part {
    pub base: Option<Arc<[u32]>>,
    pub forbidden: Vec<u32>,
    pub tokens: Vec<u32>,
    pub exits: Exits,
}

/// Which of the exits of free text a text has.
pub(crate) enum Exits {
    All,
    /// After at least and at most so many code points.
    Within(u32, u32),
    /// By place.
    Some(Box<[bool]>),
}

impl Exits {
    /// Whether the exit at a place, after so many code points, is one of them.
    pub fn has(&self, place: usize, read: u32) -> bool {
        match self {
            Exits::All => true,
            Exits::Within(low, high) => (*low..=*high).contains(&read),
            Exits::Some(places) => places.get(place) == Some(&true),
        }
    }
}

/// The bytes of a closed part; None where it has exits that free text has not.
pub(crate) fn write_part(
    base: Option<usize>,
    closed: &Closed,
    free: &FreeTokens,
) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    write_count(&mut bytes, base.map_or(0, |base| base + 1));
    for list in [&closed.forbidden, &closed.tokens] {
        let mut list = list.clone();
        list.sort_unstable();
        list.dedup();
        write_list(&mut bytes, &list);
    }
    write_exits(&mut bytes, closed, free)?;
    Some(bytes)
}

fn write_exits(bytes: &mut Vec<u8>, closed: &Closed, free: &FreeTokens) -> Option<()> {
    let place = |node| free.exits.binary_search_by_key(&node, |(node, _)| *node);
    let places = closed.exits.iter().map(|exit| place(exit.node).ok());
    let places: Vec<u32> = places
        .map(|place| place.map(|at| at as u32))
        .collect::<Option<_>>()?;
    let reads = || places.iter().map(|at| free.exits[*at as usize].1);
    let (Some(low), Some(high)) = (reads().min(), reads().max()) else {
        bytes.push(0);
        return Some(());
    };
    let within = free
        .exits
        .iter()
        .filter(|(_, read)| (low..=high).contains(read));
    if places.len() == free.exits.len() {
        bytes.push(1);
    } else if places.len() == within.count() {
        bytes.push(2);
        write_number(bytes, low.into());
        write_number(bytes, high.into());
    } else {
        bytes.push(3);
        write_list(bytes, &places);
    }
    Some(())
}

/// Reads a closed part; `base` gives bases by number.
pub(crate) fn read_part(
    bytes: &[u8],
    vocabulary: &Vocabulary,
    exits: usize,
    mut base: impl FnMut(usize) -> Option<Arc<[u32]>>,
) -> Result<Part, EngineError> {
    let mut input = Input { bytes, at: 0 };
    let number = input.number()? as usize;
    let base = match number.checked_sub(1) {
        Some(number) => Some(base(number).ok_or_else(unreadable)?),
        None => None,
    };
    Ok(Part {
        base,
        forbidden: input.list(vocabulary.size())?,
        tokens: input.list(vocabulary.size())?,
        exits: read_exits(&mut input, exits)?,
    })
}

fn read_exits(input: &mut Input, count: usize) -> Result<Exits, EngineError> {
    let mut places = match input.byte()? {
        0 => return Ok(Exits::Some([].into())),
        1 => return Ok(Exits::All),
        2 => return Ok(Exits::Within(input.small()?, input.small()?)),
        3 => vec![false; count],
        _ => return Err(unreadable()),
    };
    for place in input.list(count)? {
        places[place as usize] = true;
    }
    Ok(Exits::Some(places.into()))
}

/// The bytes of a base.
pub(crate) fn write_base(
    base: &[u32],
    recipe: Option<Recipe>,
    vocabulary: &Vocabulary,
    all_spellings: bool,
) -> Vec<u8> {
    let followed = |recipe: Recipe| Some((recipe, recipe.follow(vocabulary, all_spellings)?));
    let like = recipe.and_then(followed);
    let nothing = || vec![0; base.len()].into();
    let mut bytes = Vec::new();
    match like.as_ref().map(|(recipe, _)| *recipe) {
        None => bytes.push(0),
        Some(Recipe::Free) => bytes.push(1),
        Some(Recipe::Length(high)) => {
            bytes.push(2);
            write_number(&mut bytes, high.into());
        }
        Some(Recipe::Within(characters, length)) => {
            bytes.push(3);
            bytes.extend(characters.to_le_bytes());
            write_number(&mut bytes, length.into());
        }
    }
    let like: Arc<[u32]> = like.map_or_else(nothing, |(_, like)| like);
    write_list(&mut bytes, &differences(base, &like));
    bytes
}

/// The ids in which two masks differ.
fn differences(one: &[u32], other: &[u32]) -> Vec<u32> {
    let mut ids = Vec::new();
    for (at, (one, other)) in one.iter().zip(other).enumerate() {
        let mut bits = one ^ other;
        while bits != 0 {
            ids.push(at as u32 * 32 + bits.trailing_zeros());
            bits &= bits - 1;
        }
    }
    ids
}

/// Reads a base.
pub(crate) fn read_base(
    bytes: &[u8],
    vocabulary: &Vocabulary,
    all_spellings: bool,
) -> Result<Arc<[u32]>, EngineError> {
    let (kind, rest) = bytes.split_first().ok_or_else(unreadable)?;
    let (recipe, mut input) = match kind {
        3 => {
            let (characters, rest) = rest.split_first_chunk().ok_or_else(unreadable)?;
            let mut input = Input { bytes: rest, at: 0 };
            let characters = u128::from_le_bytes(*characters);
            (Some(Recipe::Within(characters, input.small()?)), input)
        }
        0..=2 => {
            let mut input = Input { bytes: rest, at: 0 };
            let recipe = match kind {
                0 => None,
                1 => Some(Recipe::Free),
                _ => Some(Recipe::Length(input.small()?)),
            };
            (recipe, input)
        }
        _ => return Err(unreadable()),
    };
    let differing = input.list(vocabulary.size())?;
    let like = match recipe {
        Some(recipe) => recipe
            .follow(vocabulary, all_spellings)
            .ok_or_else(unreadable)?,
        None => vec![0; vocabulary.words()].into(),
    };
    if differing.is_empty() {
        return Ok(like);
    }
    let mut base = like.to_vec();
    differing
        .iter()
        .for_each(|id| base[*id as usize / 32] ^= 1 << (id % 32));
    Ok(base.into())
}

fn unreadable() -> EngineError {
    EngineError::IndexFormat("a part of a mask cannot be read".into())
}
