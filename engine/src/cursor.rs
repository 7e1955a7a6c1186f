//! One sequence's place in an index.

use crate::error::CursorError;
use crate::index::Index;
use crate::machine::Configuration;
use crate::vocabulary::allow;

/// Where one sequence stands. A cursor that has failed stays failed and says why.
#[derive(Clone)]
pub struct Cursor {
    index: Index,
    /// The place after each token, the start first.
    places: Vec<Configuration>,
    ended: bool,
    failure: Option<CursorError>,
}

impl Cursor {
    /// A cursor at the start.
    pub(crate) fn new(index: Index) -> Self {
        let start = index.working().start();
        Cursor {
            index,
            places: vec![start],
            ended: false,
            failure: None,
        }
    }

    fn place(&self) -> Configuration {
        self.places[self.places.len() - 1]
    }

    fn fail(&mut self, error: CursorError) -> Result<(), CursorError> {
        self.failure = Some(error.clone());
        Err(error)
    }

    fn check(&self) -> Result<(), CursorError> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    /// Writes which tokens may come next over a buffer of the vocabulary's words.
    ///
    /// # Errors
    ///
    /// What the cursor failed of, now or before.
    pub fn mask(&mut self, out: &mut [u32]) -> Result<(), CursorError> {
        self.check()?;
        if self.ended {
            out.fill(0);
            return Ok(());
        }
        let place = self.place();
        let exhausted = {
            let mut working = self.index.working();
            working.mask(self.index.vocabulary(), place).write(out);
            if working.may_end(place) {
                self.index
                    .vocabulary()
                    .end_ids()
                    .iter()
                    .for_each(|end| allow(out, *end));
            }
            working.limit_reached()
        };
        match exhausted {
            Some(limit) => self.fail(CursorError::OutOfFuel {
                limit: limit.maximum,
            }),
            None => Ok(()),
        }
    }

    /// Takes a token.
    ///
    /// # Errors
    ///
    /// `TokenNotAllowed`, or what the cursor failed of before.
    pub fn advance(&mut self, token: u32) -> Result<(), CursorError> {
        self.check()?;
        let place = self.place();
        if self.index.vocabulary().end_ids().contains(&token) {
            let Some(last) = self.end_by(token) else {
                return self.fail(CursorError::TokenNotAllowed { token });
            };
            self.ended = true;
            self.places.push(last);
            return Ok(());
        }
        let vocabulary = std::sync::Arc::clone(self.index.vocabulary());
        let bytes = vocabulary.token_bytes(token);
        let (next, exhausted) = if self.ended {
            (None, None)
        } else {
            let mut working = self.index.working();
            let next = match bytes {
                [] => working.take_special(place, token),
                _ => bytes
                    .iter()
                    .try_fold(place, |at, byte| working.step(at, *byte)),
            };
            (next, working.limit_reached())
        };
        match (next, exhausted) {
            (_, Some(limit)) => self.fail(CursorError::OutOfFuel {
                limit: limit.maximum,
            }),
            (Some(next), None) => {
                self.places.push(next);
                Ok(())
            }
            (None, None) => self.fail(CursorError::TokenNotAllowed { token }),
        }
    }

    /// Where an end token leads, if it may come: a grammar may name one, else any ends an answer.
    fn end_by(&self, token: u32) -> Option<Configuration> {
        if self.ended {
            return None;
        }
        let (place, mut working) = (self.place(), self.index.working());
        let named = working.take_special(place, token);
        named.or_else(|| working.may_end(place).then_some(place))
    }

    /// Whether the answer may end here.
    #[must_use]
    pub fn may_end(&self) -> bool {
        !self.ended && self.failure.is_none() && self.index.working().may_end(self.place())
    }

    /// Whether an end token was taken.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Takes back the last tokens.
    ///
    /// # Errors
    ///
    /// `Failed` if there were fewer, or what the cursor failed of before.
    pub fn rollback(&mut self, tokens: usize) -> Result<(), CursorError> {
        self.check()?;
        if tokens >= self.places.len() {
            return self.fail(CursorError::Failed(format!(
                "{tokens} tokens back of {}",
                self.places.len() - 1
            )));
        }
        if tokens > 0 {
            self.ended = false;
            self.places.truncate(self.places.len() - tokens);
        }
        Ok(())
    }

    /// Returns a second cursor at the same place.
    #[must_use]
    pub fn fork(&self) -> Cursor {
        self.clone()
    }

    /// Returns the tokens that have to come next; none where more than one may.
    pub fn forced(&mut self) -> Vec<u32> {
        Vec::new()
    }
}
