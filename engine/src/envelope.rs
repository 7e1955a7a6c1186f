//! Envelopes: what a model writes around the texts of indexes, as a small regular structure of
//! special tokens, literal text, free text and the indexes themselves.

use std::collections::HashMap;

use crate::error::EngineError;
use crate::formula::ids;
use crate::index::Index;
use crate::vocabulary::Vocabulary;

ids! {
    /// A piece of an envelope.
    PieceId,
}

/// Pieces that an envelope may have at most.
pub const MAX_PIECES: usize = 1 << 16;
/// Choices, sequences and repetitions around one another at most.
pub const MAX_PIECE_DEPTH: usize = 64;
/// Bytes of all literal text.
pub const MAX_TEXT_BYTES: usize = 1 << 20;
/// Bytes of all texts that end or may not stand in free text.
pub const MAX_TRIGGER_BYTES: usize = 4096;
/// Indexes that an envelope may refer to.
pub const MAX_PARTS: usize = 4096;
/// Linked indexes within one another at most.
pub const MAX_LINK_LEVEL: usize = 4;

/// One piece: what may be written there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// A token that stands for no text.
    Special(u32),
    /// Exactly this text.
    Text(Box<str>),
    /// A text of the part with this number.
    Part(u32),
    /// Any text of whole code points, but for some.
    Free(FreeText),
    /// All of these, in order.
    Sequence(Box<[PieceId]>),
    /// One of these.
    Choice(Box<[PieceId]>),
    /// A piece several times.
    Repeat {
        /// What is repeated; it is never empty.
        piece: PieceId,
        /// How often at least.
        least: u32,
        /// How often at most; None: no limit.
        most: Option<u32>,
    },
}

/// Text that nothing constrains but what it must not hold.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct FreeText {
    /// Texts that do not occur in it.
    pub triggers: Box<[Box<str>]>,
    /// It ends with the first trigger, which is its last part, and nowhere else; if false it may
    /// end anywhere and no trigger is written.
    pub is_until: bool,
}

/// Pieces over some indexes. A piece refers only to pieces that were added before it, so that
/// envelopes are finite; several may refer to one.
#[derive(Clone, Default)]
pub struct Envelope {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) parts: Vec<Index>,
}

/// What is known of a piece.
#[derive(Copy, Clone, Default)]
struct Fact {
    /// Nothing may be written for it.
    is_nullable: bool,
    depth: usize,
    /// It holds an id that ends the sequence.
    holds_end: bool,
}

impl Envelope {
    /// Returns an envelope without pieces.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a special token.
    pub fn special(&mut self, id: u32) -> PieceId {
        self.add(Piece::Special(id))
    }

    /// Adds literal text.
    pub fn text(&mut self, text: &str) -> PieceId {
        self.add(Piece::Text(text.into()))
    }

    /// Adds an index, by reference.
    pub fn part(&mut self, index: &Index) -> PieceId {
        let known = self
            .parts
            .iter()
            .position(|part| part.address() == index.address());
        let number = known.unwrap_or_else(|| {
            self.parts.push(index.clone());
            self.parts.len() - 1
        });
        self.add(Piece::Part(number as u32))
    }

    /// Adds free text that ends with the first of some triggers.
    pub fn free_until(&mut self, triggers: &[&str]) -> PieceId {
        self.free(triggers, true)
    }

    /// Adds free text that holds none of some texts and may end anywhere.
    pub fn free_without(&mut self, triggers: &[&str]) -> PieceId {
        self.free(triggers, false)
    }

    fn free(&mut self, triggers: &[&str], is_until: bool) -> PieceId {
        let triggers = triggers.iter().map(|text| (*text).into()).collect();
        self.add(Piece::Free(FreeText { triggers, is_until }))
    }

    /// Adds pieces one after the other.
    pub fn sequence(&mut self, pieces: &[PieceId]) -> PieceId {
        self.add(Piece::Sequence(pieces.into()))
    }

    /// Adds a choice of pieces.
    pub fn choice(&mut self, pieces: &[PieceId]) -> PieceId {
        self.add(Piece::Choice(pieces.into()))
    }

    /// Adds a piece several times; without `most`, as often as one likes.
    pub fn repeat(&mut self, piece: PieceId, least: u32, most: Option<u32>) -> PieceId {
        self.add(Piece::Repeat { piece, least, most })
    }

    /// Adds a piece that may be left out.
    pub fn optional(&mut self, piece: PieceId) -> PieceId {
        self.repeat(piece, 0, Some(1))
    }

    fn add(&mut self, piece: Piece) -> PieceId {
        self.pieces.push(piece);
        PieceId::from(self.pieces.len() - 1)
    }

    /// Keeps one of each part that is there several times.
    pub(crate) fn merge_parts(&mut self) {
        let mut numbers: HashMap<usize, u32> = HashMap::new();
        let (mut kept, mut renumbered) = (Vec::new(), Vec::new());
        for part in std::mem::take(&mut self.parts) {
            let number = *numbers.entry(part.address()).or_insert(kept.len() as u32);
            renumbered.push(number);
            if number as usize == kept.len() {
                kept.push(part);
            }
        }
        self.parts = kept;
        for piece in &mut self.pieces {
            if let Piece::Part(part) = piece {
                // one that is not there is refused later
                *part = renumbered.get(*part as usize).copied().unwrap_or(u32::MAX);
            }
        }
    }

    /// The piece of everything: the one that was added last.
    pub(crate) fn root(&self) -> PieceId {
        PieceId::from(self.pieces.len().saturating_sub(1))
    }

    pub(crate) fn piece(&self, id: PieceId) -> &Piece {
        &self.pieces[id.0 as usize]
    }

    /// Linked indexes within one another, this one included.
    pub(crate) fn level(&self) -> usize {
        let levels = self.parts.iter().map(Index::level);
        1 + levels.max().unwrap_or(0)
    }

    /// Whether some way through it takes an id that ends the sequence.
    pub(crate) fn holds_end(&self, vocabulary: &Vocabulary) -> bool {
        let is_end = |piece: &Piece| match piece {
            Piece::Special(id) => vocabulary.end_ids().contains(id),
            _ => false,
        };
        self.pieces.iter().any(is_end) || self.parts.iter().any(Index::holds_end)
    }

    /// Refuses what cannot be read, or could not be ended.
    ///
    /// # Errors
    ///
    /// `Malformed` with the number of the piece as pointer, `TooLarge`, or `Vocabulary` for a part
    /// of another one.
    pub(crate) fn check(&self, vocabulary: &Vocabulary) -> Result<(), EngineError> {
        self.check_sizes()?;
        let own = vocabulary.fingerprint();
        if self
            .parts
            .iter()
            .any(|p| p.vocabulary().fingerprint() != own)
        {
            return Err(EngineError::Vocabulary(
                "a part of another vocabulary".into(),
            ));
        }
        let mut facts: Vec<Fact> = Vec::with_capacity(self.pieces.len());
        for number in 0..self.pieces.len() {
            let fact = self.fact(number, &facts, vocabulary)?;
            EngineError::check_limit("max_piece_depth", MAX_PIECE_DEPTH, fact.depth)?;
            facts.push(fact);
        }
        Ok(())
    }

    fn check_sizes(&self) -> Result<(), EngineError> {
        if self.pieces.is_empty() {
            return Err(malformed(0, "is not there"));
        }
        EngineError::check_limit("max_pieces", MAX_PIECES, self.pieces.len())?;
        EngineError::check_limit("max_parts", MAX_PARTS, self.parts.len())?;
        EngineError::check_limit("max_link_level", MAX_LINK_LEVEL, self.level())?;
        let length = |piece: &Piece| match piece {
            Piece::Text(text) => (text.len(), 0),
            Piece::Free(free) => (0, free.triggers.iter().map(|t| t.len()).sum()),
            Piece::Sequence(pieces) | Piece::Choice(pieces) => (pieces.len(), 0),
            _ => (0, 0),
        };
        let add = |sum: (usize, usize), one: (usize, usize)| (sum.0 + one.0, sum.1 + one.1);
        let (texts, triggers) = self.pieces.iter().map(length).fold((0, 0), add);
        EngineError::check_limit("max_text_bytes", MAX_TEXT_BYTES, texts)?;
        EngineError::check_limit("max_trigger_bytes", MAX_TRIGGER_BYTES, triggers)
    }

    fn fact(
        &self,
        number: usize,
        known: &[Fact],
        vocabulary: &Vocabulary,
    ) -> Result<Fact, EngineError> {
        let refused = |reason: &str| Err(malformed(number, reason));
        let of = |pieces: &[PieceId]| -> Result<Vec<Fact>, EngineError> {
            let fact = |id: &PieceId| known.get(id.0 as usize).copied();
            let facts: Option<Vec<Fact>> = pieces.iter().map(fact).collect();
            facts.ok_or_else(|| malformed(number, "refers to a piece that is not before it"))
        };
        let leaf = |is_nullable, holds_end| {
            let depth = 1;
            Ok(Fact {
                is_nullable,
                depth,
                holds_end,
            })
        };
        match &self.pieces[number] {
            Piece::Special(id) if !is_special(vocabulary, *id) => refused("is no special token"),
            Piece::Special(id) => leaf(false, vocabulary.end_ids().contains(id)),
            Piece::Text(text) => leaf(text.is_empty(), false),
            Piece::Part(part) => match self.parts.get(*part as usize) {
                Some(index) => leaf(index.may_be_empty(), index.holds_end()),
                None => refused("refers to a part that is not there"),
            },
            Piece::Free(free) if free.triggers.iter().any(|text| text.is_empty()) => {
                refused("is free text with an empty trigger")
            }
            Piece::Free(free) if free.is_until && free.triggers.is_empty() => {
                refused("is free text that cannot end")
            }
            Piece::Free(free) => leaf(!free.is_until, false),
            Piece::Sequence(pieces) => sequence_fact(&of(pieces)?)
                .ok_or_else(|| malformed(number, "goes on after an id that ends the sequence")),
            Piece::Choice(pieces) if pieces.is_empty() => refused("is a choice of nothing"),
            Piece::Choice(pieces) => Ok(choice_fact(&of(pieces)?)),
            Piece::Repeat { piece, least, most } => {
                let inner = choice_fact(&of(&[*piece])?);
                match *most {
                    Some(most) if most < *least => refused("repeats at least more than at most"),
                    _ if inner.is_nullable => refused("repeats what may be empty"),
                    most if inner.holds_end && most.is_none_or(|most| most > 1) => {
                        refused("repeats an id that ends the sequence")
                    }
                    _ => Ok(Fact {
                        is_nullable: *least == 0,
                        ..inner
                    }),
                }
            }
        }
    }
}

fn is_special(vocabulary: &Vocabulary, id: u32) -> bool {
    (id as usize) < vocabulary.size() && vocabulary.token_bytes(id).is_empty()
}

/// None where something stands behind an id that ends the sequence.
fn sequence_fact(facts: &[Fact]) -> Option<Fact> {
    let ending = facts.iter().position(|fact| fact.holds_end);
    let behind = ending.map_or(&[][..], |place| &facts[place + 1..]);
    behind.is_empty().then(|| Fact {
        is_nullable: facts.iter().all(|fact| fact.is_nullable),
        ..choice_fact(facts)
    })
}

fn choice_fact(facts: &[Fact]) -> Fact {
    Fact {
        is_nullable: facts.iter().any(|fact| fact.is_nullable),
        depth: 1 + facts.iter().map(|fact| fact.depth).max().unwrap_or(0),
        holds_end: facts.iter().any(|fact| fact.holds_end),
    }
}

fn malformed(piece: usize, reason: &str) -> EngineError {
    EngineError::Malformed {
        pointer: format!("/pieces/{piece}"),
        keyword: String::new(),
        reason: reason.into(),
    }
}
