//! Masks as bytes: what differs from a base, and bases as what differs from one that the
//! vocabulary knows.
//!
//! A mask: its base from 1, or 0; the tokens of the base that it forbids; its other tokens. A base:
//! what it is like (0 nothing; 1 free text; 2 and a length; 3, a signature of 16 bytes and a
//! length), then the tokens in which it differs.

use std::sync::Arc;

use crate::closed::Recipe;
use crate::error::EngineError;
use crate::frozen_tables::{Input, write_count, write_list, write_number};
use crate::mask::Mask;
use crate::vocabulary::Vocabulary;

/// The bytes of a mask, and how many tokens it lists.
pub(crate) fn write_mask(base: Option<usize>, mask: &Mask) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_count(&mut bytes, base.map_or(0, |base| base + 1));
    for list in [mask.forbidden(), mask.tokens()] {
        let mut list = list.to_vec();
        list.sort_unstable();
        list.dedup();
        write_list(&mut bytes, &list);
    }
    bytes
}

/// Reads a mask; `base` gives bases by number.
pub(crate) fn read_mask(
    bytes: &[u8],
    vocabulary: &Vocabulary,
    mut base: impl FnMut(usize) -> Option<Arc<[u32]>>,
) -> Result<Mask, EngineError> {
    let mut input = Input { bytes, at: 0 };
    let number = input.number()? as usize;
    let base = match number.checked_sub(1) {
        Some(number) => Some(base(number).ok_or_else(unreadable)?),
        None => None,
    };
    let forbidden = input.list(vocabulary.size())?;
    let tokens = input.list(vocabulary.size())?;
    Ok(Mask::of_parts(base, forbidden, tokens))
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
    let nothing = vec![0; base.len()];
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
    let like = like.map_or(nothing, |(_, like)| like);
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
    let mut base = match recipe {
        Some(recipe) => recipe
            .follow(vocabulary, all_spellings)
            .ok_or_else(unreadable)?,
        None => vec![0; vocabulary.words()],
    };
    if differing.is_empty() && recipe == Some(Recipe::Free) {
        let free = vocabulary
            .free_tokens(all_spellings)
            .ok_or_else(unreadable)?;
        return Ok(Arc::clone(&free.base));
    }
    differing
        .iter()
        .for_each(|id| base[*id as usize / 32] ^= 1 << (id % 32));
    Ok(base.into())
}

fn unreadable() -> EngineError {
    EngineError::IndexFormat("a mask cannot be read".into())
}
