//! A cursor behind the boundary: one user at a time, its last refusal kept.
#![deny(unsafe_code)]

use std::sync::{Mutex, TryLockError};

use super::refusal::{Refusal, guard};
use crate::cursor::Cursor;
use crate::late::Allowance;
use crate::vocabulary::WORD_BITS;

/// One sequence's place in an index.
pub struct FormworkCursor {
    seat: Mutex<Seat>,
    /// Words of a mask.
    words: usize,
}

struct Seat {
    /// None once a panic has left it in an unknown state.
    cursor: Option<Cursor>,
    /// The last one.
    refusal: Option<Refusal>,
}

impl FormworkCursor {
    /// Returns the handle of a cursor whose masks have so many words.
    pub fn new(cursor: Cursor, words: usize) -> Self {
        let (cursor, refusal) = (Some(cursor), None);
        let seat = Mutex::new(Seat { cursor, refusal });
        Self { seat, words }
    }

    /// Does something with the cursor, alone, and keeps what it was refused for.
    pub fn run<T>(
        &self,
        work: impl FnOnce(&mut Cursor) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut seat = match self.seat.try_lock() {
            Ok(seat) => seat,
            Err(TryLockError::Poisoned(seat)) => seat.into_inner(), // panics are caught inside
            Err(TryLockError::WouldBlock) => return Err(Refusal::Busy),
        };
        let Seat { cursor, refusal } = &mut *seat;
        let result = match cursor {
            Some(cursor) => guard(|| work(cursor)),
            None => Err(refusal.clone().unwrap_or(Refusal::Busy)),
        };
        if let Err(reason) = &result {
            if matches!(reason, Refusal::Internal(_)) {
                *cursor = None;
            }
            *refusal = Some(reason.clone());
        }
        result
    }

    /// Returns the last reason why something was refused, if any was.
    pub fn last_refusal(&self) -> Result<Option<Refusal>, Refusal> {
        match self.seat.try_lock() {
            Ok(seat) => Ok(seat.refusal.clone()),
            Err(TryLockError::Poisoned(seat)) => Ok(seat.into_inner().refusal.clone()),
            Err(TryLockError::WouldBlock) => Err(Refusal::Busy),
        }
    }

    /// Returns an independent cursor at the same place.
    pub fn fork(&self) -> Result<Self, Refusal> {
        let fork = self.run(|cursor| Ok(cursor.fork()))?;
        Ok(Self::new(fork, self.words))
    }

    /// Writes a mask; zeros on failure, and beyond the vocabulary.
    pub fn mask(&self, out: &mut [u32]) -> Result<(), Refusal> {
        self.mask_within(out, None).map(|_| ())
    }

    /// Writes a mask that takes no more than it may, if there is a limit; zeros, and false, where it
    /// takes more.
    pub fn mask_within(
        &self,
        out: &mut [u32],
        allowance: Option<&Allowance>,
    ) -> Result<bool, Refusal> {
        let written = match out.split_at_mut_checked(self.words) {
            Some((mask, beyond)) => {
                beyond.fill(0);
                self.run(|cursor| match allowance {
                    None => Ok(cursor.mask(mask).map(|()| true)?),
                    Some(allowance) => Ok(cursor.mask_within(mask, allowance)?),
                })
            }
            None => Err(TOO_FEW_WORDS),
        };
        if !matches!(written, Ok(true)) {
            out.fill(0);
        }
        written
    }

    /// Writes the tokens of a mask that leave room for an ending; zeros beyond the vocabulary.
    pub fn closing_mask(&self, out: &mut [u32]) -> Result<(), Refusal> {
        let Some((mask, beyond)) = out.split_at_mut_checked(self.words) else {
            return Err(TOO_FEW_WORDS);
        };
        beyond.fill(0);
        let written = self.run(|cursor| Ok(cursor.closing_mask(mask)?));
        if written.is_err() {
            out.fill(0);
        }
        written
    }

    /// Writes the masks along a draft, in rows of `words` words, and returns how far it is allowed.
    pub fn draft_masks(
        &self,
        draft: &[u32],
        out: &mut [u32],
        words: usize,
    ) -> Result<usize, Refusal> {
        out.fill(0);
        if words < self.words {
            return Err(TOO_FEW_WORDS);
        }
        self.run(|cursor| {
            let mut accepted = 0;
            for (place, row) in out.chunks_exact_mut(words).enumerate() {
                cursor.mask(&mut row[..self.words])?;
                match draft.get(place) {
                    Some(&token) if is_allowed(row, token) => cursor.advance(token)?,
                    _ => break,
                }
                accepted += 1;
            }
            cursor.rollback(accepted)?;
            Ok(accepted)
        })
    }
}

const TOO_FEW_WORDS: Refusal = Refusal::Argument("a mask has too few words");

fn is_allowed(mask: &[u32], token: u32) -> bool {
    let word = mask.get(token as usize / WORD_BITS).copied().unwrap_or(0);
    word >> (token as usize % WORD_BITS) & 1 == 1
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::refusal::status;
    use super::*;
    use crate::ffi::FormworkStatus;
    use crate::index::{Index, Input, Options};
    use crate::vocabulary::Vocabulary;

    fn cursor() -> FormworkCursor {
        let vocabulary = Vocabulary::new(["{", "}", ""], &[], &[2]).unwrap();
        let options = Options::default();
        let index = Index::compile(Input::AnyJson, Arc::new(vocabulary), &options).unwrap();
        FormworkCursor::new(index.cursor(), 1)
    }

    #[test]
    fn whoever_comes_second_finds_the_cursor_busy() {
        let cursor = cursor();
        let second = cursor
            .run(|_| Ok(status(|| cursor.mask(&mut [0]))))
            .unwrap();
        assert_eq!(second, FormworkStatus::Busy);
        assert!(cursor.mask(&mut [0]).is_ok());
    }

    #[test]
    fn a_drafts_masks_are_those_of_single_steps() {
        let (drafted, stepped) = (cursor(), cursor());
        let draft = [0, 1, 0];
        let mut rows = [7; 4];
        assert_eq!(drafted.draft_masks(&draft, &mut rows, 1).unwrap(), 2);
        for (token, row) in draft.iter().zip(rows) {
            let mut mask = [7];
            stepped.mask(&mut mask).unwrap();
            assert_eq!(mask, [row]);
            let _ = stepped.run(|cursor| Ok(cursor.advance(*token)?));
        }
        assert_eq!(rows[3], 0);
        let mut mask = [7];
        drafted.mask(&mut mask).unwrap();
        assert_eq!(mask, [rows[0]]);
    }

    #[test]
    fn a_cursor_that_a_panic_befell_stays_failed() {
        let cursor = cursor();
        let panic = status(|| cursor.run(|_| panic!("a bug")));
        assert_eq!(panic, FormworkStatus::Internal);
        let mut mask = [7];
        assert_eq!(status(|| cursor.mask(&mut mask)), FormworkStatus::Internal);
        assert_eq!(mask, [0]);
    }
}
