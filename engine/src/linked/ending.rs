//! Short endings of a linked text: what ends the piece of a thread, and then what is left to do.

use std::collections::VecDeque;
use std::sync::Arc;

use super::place::{Frame, Head, PlaceId, Places, RestId, Thread};
use crate::closing::{Ending, MAX_ENDING};
use crate::envelope::{Piece, PieceId};
use crate::free_text::FreeStep;
use crate::hashing::IdMap;

/// Endings worked out so far; None where none is known.
#[derive(Default)]
pub(super) struct Endings {
    pieces: IdMap<PieceId, Option<Arc<Ending>>>,
    rests: IdMap<RestId, Option<Arc<Ending>>>,
}

impl Places {
    /// What ends the text from a place soon.
    pub fn ending(&mut self, at: PlaceId) -> Option<Ending> {
        let threads = Arc::clone(self.get(at));
        let found = threads.iter().filter_map(|thread| self.end_thread(*thread));
        found.min_by_key(Ending::size)
    }

    fn end_thread(&mut self, Thread { head, rest }: Thread) -> Option<Ending> {
        let rest = self.end_rest(rest)?;
        let mut ending = match head {
            Head::Done => Ending::default(),
            Head::Special { id } => Ending::of_special(id),
            Head::Text { piece, read } => match self.piece(piece) {
                Piece::Text(text) => Ending::of_text(text.as_bytes()[read as usize..].into()),
                _ => return None,
            },
            Head::Free { piece, state } => self.end_free(piece, state)?,
            Head::Part { part, at } => self.part(part, |reader| reader.ending(at))?,
        };
        ending.extend(&rest);
        Some(ending)
    }

    fn end_rest(&mut self, rest: RestId) -> Option<Arc<Ending>> {
        if let Some(known) = self.endings.rests.get(&rest) {
            return known.clone();
        }
        let ending = self.work_out_rest(rest).map(Arc::new);
        if self.exhausted.is_none() {
            self.endings.rests.insert(rest, ending.clone());
        }
        ending
    }

    fn work_out_rest(&mut self, rest: RestId) -> Option<Ending> {
        let (mut ending, below) = match **self.frame(rest) {
            Frame::Nothing => return Some(Ending::default()),
            Frame::Sequence { piece, next, below } => (self.end_sequence(piece, next)?, below),
            Frame::Repeat { piece, done, below } => (self.end_repeat(piece, done)?, below),
        };
        ending.extend(&*self.end_rest(below)?);
        (ending.size() <= MAX_ENDING).then_some(ending)
    }

    fn end_sequence(&mut self, piece: PieceId, next: u32) -> Option<Ending> {
        let Piece::Sequence(pieces) = self.piece(piece) else {
            return None;
        };
        let mut ending = Ending::default();
        for piece in &pieces[next as usize..] {
            ending.extend(&*self.whole_piece(*piece)?);
            if ending.size() > MAX_ENDING {
                return None;
            }
        }
        Some(ending)
    }

    fn end_repeat(&mut self, piece: PieceId, done: u32) -> Option<Ending> {
        let Piece::Repeat { piece, least, .. } = self.piece(piece) else {
            return None;
        };
        let (mut ending, missing) = (Ending::default(), least.saturating_sub(done));
        if missing > 0 {
            let each = self.whole_piece(piece)?;
            let size = each.size().saturating_mul(missing as usize);
            if size > MAX_ENDING {
                return None;
            }
            (0..missing).for_each(|_| ending.extend(&each));
        }
        Some(ending)
    }

    /// A short text of a whole piece.
    fn whole_piece(&mut self, piece: PieceId) -> Option<Arc<Ending>> {
        if let Some(known) = self.endings.pieces.get(&piece) {
            return known.clone();
        }
        let ending = self.work_out_piece(piece).map(Arc::new);
        if self.exhausted.is_none() {
            self.endings.pieces.insert(piece, ending.clone());
        }
        ending
    }

    fn work_out_piece(&mut self, id: PieceId) -> Option<Ending> {
        match self.piece(id) {
            Piece::Special(id) => Some(Ending::of_special(id)),
            Piece::Text(text) => Some(Ending::of_text(text.as_bytes().into())),
            Piece::Part(part) => self.part(part, |reader| {
                let start = reader.start();
                reader.ending(start)
            }),
            Piece::Free(free) if free.is_until => self.end_free(id, 0),
            Piece::Free(_) => Some(Ending::default()),
            Piece::Sequence(_) => self.end_sequence(id, 0),
            Piece::Choice(pieces) => {
                let found = pieces.iter().filter_map(|piece| self.whole_piece(*piece));
                let found = found.min_by_key(|ending| ending.size());
                found.map(|ending| (*ending).clone())
            }
            Piece::Repeat { .. } => self.end_repeat(id, 0),
        }
    }

    /// The shortest bytes that end free text from a state.
    fn end_free(&mut self, piece: PieceId, state: u32) -> Option<Ending> {
        let text = self.free_text(piece);
        let (mut open, mut met) = (VecDeque::from([(state, Vec::new())]), IdMap::default());
        while let Some((state, read)) = open.pop_front() {
            for byte in 0..=u8::MAX {
                let bytes = || [&read[..], &[byte]].concat();
                match text.1.step(state, byte) {
                    FreeStep::Dead => {}
                    FreeStep::Ended | FreeStep::To { may_end: true, .. } => {
                        return Some(Ending::of_text(bytes()));
                    }
                    FreeStep::To { state, .. } => {
                        if met.insert(state, ()).is_none() {
                            open.push_back((state, bytes()));
                        }
                    }
                }
            }
        }
        None
    }
}
