//! How a tokenizer cuts text: what tokens a text has when the tokenizer writes it.
//!
//! Text is split to *pieces* by a pattern (`pattern`, `program`), and each piece is merged from its
//! bytes or characters (`merges`). A tokenizer without a pattern has one piece, the text. Nothing
//! here is needed for masks; forced runs (`forced`) follow it, and where a tokenizer is not
//! understood there are none.

mod merges;
mod neighbours;
mod pattern;
mod program;

use std::sync::Arc;

use crate::error::EngineError;
use crate::hashing::IdMap;
use crate::vocabulary::Vocabulary;
use merges::{Merges, TokensByText};
use neighbours::Neighbours;
use pattern::Part;
pub(crate) use program::first_character;
use program::{Program, Text};

/// What a caller says of its tokenizer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules<'a> {
    /// How text is split; None: not at all.
    pub pattern: Option<&'a str>,
    /// The tokens that merging begins with: those of single bytes, or of single characters.
    pub atoms: &'a [u32],
    /// Three ids each: two tokens and what they become, the earliest first. None: any two tokens
    /// become the one with their text, the least id first.
    pub merges: Option<&'a [[u32; 3]]>,
    /// Atoms are characters; text with others is not cut.
    pub has_characters: bool,
    /// A piece that is a token stays whole, whatever its merges.
    pub keeps_whole: bool,
    /// Text beyond ASCII is changed before it is cut, so that nothing is said of it.
    pub is_ascii_only: bool,
    /// Tokens that are cut out of a text first.
    pub cut_first: &'a [u32],
}

/// A tokenizer's way to cut text.
#[derive(Debug)]
pub struct Tokenisation {
    split: Option<Split>,
    atoms: IdMap<u32, u32>,
    merges: Merges,
    has_characters: bool,
    /// By text, where whole pieces stay.
    whole: Option<Arc<TokensByText>>,
    is_ascii_only: bool,
    cut_first: Vec<u32>,
}

#[derive(Debug)]
struct Split {
    program: Program,
    neighbours: Neighbours,
}

/// Bytes of one piece that are cut.
pub(crate) const MAX_PIECE: usize = 4_096;
/// Bytes of a pattern that is read.
const MAX_PATTERN: usize = 4_096;

/// Where the piece that begins a text may end.
pub(crate) struct PieceEnds {
    /// In the text at hand.
    pub within: Vec<usize>,
    /// Beyond it.
    pub is_open: bool,
}

impl Tokenisation {
    /// Returns what a tokenizer's rules come to; None where its pattern is not understood.
    ///
    /// # Errors
    ///
    /// `Vocabulary`: an id outside the tokens, or an atom that is none.
    pub fn new(rules: &Rules, vocabulary: &Vocabulary) -> Result<Option<Self>, EngineError> {
        let known = |id: u32| (id as usize) < vocabulary.size();
        let merged = rules
            .merges
            .iter()
            .flat_map(|merges| merges.iter().flatten());
        let mut ids = rules.atoms.iter().chain(rules.cut_first).chain(merged);
        if let Some(id) = ids.find(|id| !known(**id)) {
            let size = vocabulary.size();
            return Err(EngineError::Vocabulary(format!("id {id} of {size} tokens")));
        }
        let split = match rules.pattern {
            None => None,
            Some(pattern) => match Split::read(pattern) {
                None => return Ok(None),
                split => split,
            },
        };
        let mut atoms = IdMap::default();
        for id in rules.atoms {
            let bytes = vocabulary.token_bytes(*id);
            let atom = atom_of(bytes, rules.has_characters)
                .ok_or_else(|| EngineError::Vocabulary(format!("id {id} is no atom")))?;
            atoms.entry(atom).or_insert(*id);
        }
        if !rules.has_characters && atoms.len() < 256 {
            return Ok(None);
        }
        let is_by_text = rules.keeps_whole || rules.merges.is_none();
        let texts = is_by_text.then(|| text_tokens(vocabulary, rules.cut_first));
        let texts = Arc::new(texts.map_or_else(TokensByText::default, TokensByText::new));
        Ok(Some(Self {
            split,
            atoms,
            merges: match rules.merges {
                Some(list) => Merges::Listed(listed(list)),
                None => Merges::ByText(Arc::clone(&texts)),
            },
            has_characters: rules.has_characters,
            whole: rules.keeps_whole.then_some(texts),
            is_ascii_only: rules.is_ascii_only,
            cut_first: rules.cut_first.to_vec(),
        }))
    }

    /// Returns the tokens of a text; None where it is not cut: it is no UTF-8, has characters that
    /// are no atoms, or a piece that is too long.
    pub fn cut(&self, text: &str) -> Option<Vec<u32>> {
        let (mut tokens, bytes) = (Vec::new(), text.as_bytes());
        let mut from = 0;
        while from < bytes.len() {
            let ends = self.piece_ends(&bytes[from..], true)?;
            let piece = &bytes[from..from + *ends.within.first()?];
            tokens.extend(self.cut_piece(piece)?);
            from += piece.len();
        }
        Some(tokens)
    }

    /// Whether text is split to pieces at all.
    pub(crate) fn splits(&self) -> bool {
        self.split.is_some()
    }

    /// Whether tokens are merged from characters, not from bytes.
    pub(crate) fn has_characters(&self) -> bool {
        self.has_characters
    }

    /// Whether nothing is said of text beyond ASCII.
    pub(crate) fn is_ascii_only(&self) -> bool {
        self.is_ascii_only
    }

    /// Whether a piece that is a token stays whole.
    pub(crate) fn keeps_whole(&self) -> bool {
        self.whole.is_some()
    }

    /// Tokens that are cut out of a text before it is split.
    pub(crate) fn cut_first(&self) -> &[u32] {
        &self.cut_first
    }

    /// Where the piece that begins a text may end, whatever the text goes on with if it is not
    /// whole; None where that is not known.
    pub(crate) fn piece_ends(&self, text: &[u8], is_whole: bool) -> Option<PieceEnds> {
        let Some(split) = &self.split else {
            return Some(PieceEnds {
                within: if is_whole {
                    vec![text.len()]
                } else {
                    Vec::new()
                },
                is_open: !is_whole,
            });
        };
        let bytes = text;
        let ends = split.program.ends(Text { bytes, is_whole }, 0)?;
        Some(PieceEnds {
            within: ends.within,
            is_open: ends.is_open,
        })
    }

    /// Whether a text is split between two characters, whatever else there is in it.
    pub(crate) fn always_splits(&self, one: u32, other: u32) -> bool {
        let split = self.split.as_ref();
        split.is_some_and(|split| !split.neighbours.may_join(one, other))
    }

    /// The tokens of a whole piece.
    pub(crate) fn cut_piece(&self, piece: &[u8]) -> Option<Vec<u32>> {
        if let Some(id) = self.whole.as_ref().and_then(|whole| whole.find(piece)) {
            return Some(vec![id]);
        }
        self.merge(piece)
    }

    /// The tokens that a piece's bytes merge to.
    pub(crate) fn merge(&self, piece: &[u8]) -> Option<Vec<u32>> {
        if piece.len() > MAX_PIECE {
            return None;
        }
        let mut symbols = Vec::with_capacity(piece.len());
        let mut end = 0;
        while end < piece.len() {
            let (atom, length) = match self.has_characters {
                true => first_character(&piece[end..])?,
                false => (u32::from(piece[end]), 1),
            };
            end += length;
            symbols.push((*self.atoms.get(&atom)?, end));
        }
        Some(self.merges.apply(piece, symbols))
    }
}

impl Split {
    fn read(pattern: &str) -> Option<Split> {
        let part = Part::read(pattern).filter(|_| pattern.len() <= MAX_PATTERN)?;
        Some(Split {
            program: Program::new(&part)?,
            neighbours: Neighbours::new(&part)?,
        })
    }
}

/// The byte, or the character, that a token is.
fn atom_of(bytes: &[u8], is_character: bool) -> Option<u32> {
    if !is_character {
        return match bytes {
            [byte] => Some(u32::from(*byte)),
            _ => None,
        };
    }
    let (character, length) = first_character(bytes)?;
    (length == bytes.len()).then_some(character)
}

fn text_tokens<'a>(
    vocabulary: &'a Vocabulary,
    except: &[u32],
) -> impl Iterator<Item = (u32, &'a [u8])> {
    let ids = (0..vocabulary.size() as u32).filter(|id| !except.contains(id));
    ids.map(|id| (id, vocabulary.token_bytes(id)))
        .filter(|(_, bytes)| !bytes.is_empty())
}

fn listed(merges: &[[u32; 3]]) -> IdMap<(u32, u32), (u32, u32)> {
    let mut list = IdMap::default();
    for (rank, [one, other, merged]) in merges.iter().enumerate() {
        // as the tokenizers package has it, the last of equal pairs counts
        list.insert((*one, *other), (rank as u32, *merged));
    }
    list
}

#[cfg(test)]
pub(crate) mod tests;
