//! One sequence's place in an index.

use std::sync::Arc;

use crate::closing::{Closing, Ending, FAR};
use crate::error::CursorError;
use crate::forced::MAX_PENDING_TOKENS;
use crate::grammar::{Exhausted, MASK_FUEL};
use crate::index::{Index, Working};
use crate::late::{Allowance, Late};
use crate::machine::Configuration;
use crate::mask::Mask;
use crate::reader::Reader;
use crate::vocabulary::{Vocabulary, allow};

/// Where one sequence stands. A cursor that has failed stays failed and says why.
#[derive(Clone)]
pub struct Cursor {
    pub(crate) index: Index,
    /// Which of the index's readers gave out the places.
    pub(crate) generation: u64,
    /// The place after each token, the start first.
    places: Vec<Configuration>,
    /// The tokens taken, an end token among them.
    tokens: Vec<u32>,
    ended: bool,
    pub(crate) failure: Option<CursorError>,
    /// What is known of the place, so that nobody has to be waited for to write its mask.
    ready: Option<Ready>,
    pub(crate) late: Late,
    /// What is left, if the answer shall end in time.
    closing: Option<Closing>,
}

/// A place's mask, and whether the text may end there; or the tokens that are forced from there
/// on, of which the first one is the mask.
#[derive(Clone)]
struct Ready {
    mask: Arc<Mask>,
    may_end: bool,
    forced: Vec<u32>,
}

impl Ready {
    fn open(mask: Arc<Mask>, may_end: bool) -> Self {
        let forced = Vec::new();
        Ready {
            mask,
            may_end,
            forced,
        }
    }

    fn forced(tokens: &[u32]) -> Option<Self> {
        (!tokens.is_empty()).then(|| Ready {
            mask: Arc::default(),
            may_end: false,
            forced: tokens.to_vec(),
        })
    }
}

/// What it may cost to say what is forced.
const FORCED_FUEL: u64 = 20_000;

/// Why a piece of work came to nothing.
struct Stop {
    limit: Exhausted,
    /// The reader was full and a new one has taken its place: it is worth another try.
    renewed: bool,
}

/// No reader's generation: the places have to be found again.
pub(crate) const NO_GENERATION: u64 = u64::MAX;

impl Cursor {
    /// A cursor at the start.
    pub(crate) fn new(index: Index) -> Self {
        let (start, generation) = {
            let working = index.working();
            (working.start(), working.generation)
        };
        Cursor {
            index,
            generation,
            places: vec![start],
            tokens: Vec::new(),
            ended: false,
            failure: None,
            ready: None,
            late: Late::default(),
            closing: None,
        }
    }

    pub(crate) fn fail<T>(&mut self, error: CursorError) -> Result<T, CursorError> {
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
        if let Err(error) = self.prepare(self.index.mask_fuel()) {
            return self.fail(error);
        }
        self.write(out);
        Ok(())
    }

    /// The same with what a batch allows: false, and nothing is written, where that is not enough
    /// and another thread goes on, or where the batch has nothing left; ask again later.
    ///
    /// # Errors
    ///
    /// What the cursor failed of, now or before.
    pub(crate) fn mask_within(
        &mut self,
        out: &mut [u32],
        allowance: &Allowance,
    ) -> Result<bool, CursorError> {
        self.rejoin();
        self.check()?;
        if self.late.is_pending() {
            return Ok(false);
        }
        if !self.is_ready() && !self.late.is_usual() {
            if !allowance.suffices() {
                return Ok(false);
            }
            let is_part = allowance.each < self.index.mask_fuel();
            match self.prepare(allowance.each) {
                Err(CursorError::LimitReached { limit, .. }) if is_part && limit == MASK_FUEL => {
                    allowance.note(allowance.each);
                }
                Err(error) => return self.fail(error),
                Ok(spent) => allowance.note(spent),
            }
        }
        if !self.is_ready() {
            self.finish_later(allowance.each);
            return Ok(false);
        }
        self.write(out);
        Ok(true)
    }

    fn is_ready(&self) -> bool {
        self.ended || self.ready.is_some()
    }

    fn write(&self, out: &mut [u32]) {
        let Some(ready) = self.ready.as_ref().filter(|_| !self.ended) else {
            return out.fill(0);
        };
        match ready.forced.first() {
            Some(token) => {
                out.fill(0);
                allow(out, *token);
            }
            None => ready.mask.write(out),
        }
        if ready.may_end {
            let ends = self.index.vocabulary().end_ids();
            ends.iter().for_each(|end| allow(out, *end));
        }
    }

    /// Works out the mask of the place, and returns the fuel that it took.
    pub(crate) fn prepare(&mut self, fuel: u64) -> Result<u64, CursorError> {
        if self.is_ready() {
            return Ok(0);
        }
        let last = self.last_tokens();
        let (ready, left) = self.work(fuel, |reader, vocabulary, place| {
            let forced = reader.forced(vocabulary, place, &last);
            let ready = forced.and_then(|tokens| Ready::forced(&tokens));
            let ready = ready.unwrap_or_else(|| {
                let (mask, may_end) = (reader.mask(vocabulary, place), reader.may_end(place));
                Ready::open(mask, may_end)
            });
            (ready, reader.fuel_left())
        })?;
        self.ready = Some(ready);
        Ok(fuel.saturating_sub(left))
    }

    /// Does a piece of work at the place, alone with the reader.
    pub(crate) fn work<T>(
        &mut self,
        fuel: u64,
        job: impl Fn(&mut Working, &Vocabulary, Configuration) -> T,
    ) -> Result<T, CursorError> {
        let first = self.attempt(fuel, &job);
        let answer = match first {
            Err(Stop { renewed: true, .. }) => self.attempt(fuel, &job),
            answer => answer,
        };
        let Exhausted { limit, maximum } = match answer {
            Ok(answer) => return Ok(answer),
            Err(stop) => stop.limit,
        };
        Err(CursorError::LimitReached { limit, maximum })
    }

    fn attempt<T>(
        &mut self,
        fuel: u64,
        job: impl Fn(&mut Working, &Vocabulary, Configuration) -> T,
    ) -> Result<T, Stop> {
        let (index, mut working) = (&self.index, self.index.working());
        let mut reached = Ok(());
        if self.generation != working.generation {
            (self.places, reached) = replay(&mut working, index, &self.tokens);
            let found = reached.is_ok();
            self.generation = if found {
                working.generation
            } else {
                NO_GENERATION
            };
        }
        let place = self.places[self.places.len() - 1];
        let answer = reached.and_then(|()| {
            working.refuel(fuel);
            let answer = job(&mut working, index.vocabulary(), place);
            working.limit_reached().map_or(Ok(answer), Err)
        });
        let is_full = working.is_full();
        if is_full {
            index.renew(&mut working);
        }
        answer.map_err(|limit| Stop {
            limit,
            renewed: is_full,
        })
    }

    /// Takes a token.
    ///
    /// # Errors
    ///
    /// `TokenNotAllowed`, also where the answer shall end in time and the token leaves no room for
    /// that; or what the cursor failed of before.
    pub fn advance(&mut self, token: u32) -> Result<(), CursorError> {
        self.check()?;
        self.late.forget();
        let is_end = self.index.vocabulary().end_ids().contains(&token);
        if self.ended {
            return self.fail(CursorError::TokenNotAllowed { token });
        }
        if let Err(error) = self.prepare_forced(self.index.mask_fuel()) {
            return self.fail(error);
        }
        let forced = self.ready.as_ref().map_or(&[][..], |ready| &ready.forced);
        let is_other = forced.first().is_some_and(|forced| *forced != token);
        if is_other && self.closing.is_none() {
            return self.fail(CursorError::TokenNotAllowed { token });
        }
        let forced = if is_other { &[] } else { forced };
        let still_forced = Ready::forced(forced.get(1..).unwrap_or_default());
        let closing = self.closing.take();
        let stepped = self.work(self.index.mask_fuel(), |reader, vocabulary, place| {
            let next = take(&mut *reader.reader, vocabulary, place, token)?;
            let ending = match &closing {
                Some(closing) => Some(closing.after(reader, vocabulary, place, token)?),
                None => None,
            };
            let is_open = still_forced.is_none() && !reader.may_be_forced(vocabulary, next);
            let remembered = is_open.then(|| reader.remembered(next)).flatten();
            Some((next, remembered, ending))
        });
        self.closing = closing;
        match stepped {
            Ok(Some((next, remembered, ending))) => {
                let remembered = remembered.map(|(mask, may_end)| Ready::open(mask, may_end));
                self.ready = still_forced.or(remembered);
                if let (Some(closing), Some(ending)) = (&mut self.closing, ending) {
                    closing.advance(ending);
                }
                self.ended = is_end;
                self.places.push(next);
                self.tokens.push(token);
                Ok(())
            }
            Ok(None) => self.fail(CursorError::TokenNotAllowed { token }),
            Err(error) => self.fail(error),
        }
    }

    /// Whether the answer may end here.
    #[must_use]
    pub fn may_end(&mut self) -> bool {
        if self.ended || self.failure.is_some() {
            return false;
        }
        if let Some(ready) = &self.ready {
            return ready.may_end;
        }
        let fuel = self.index.mask_fuel();
        let may_end = self.work(fuel, |reader, _, place| reader.may_end(place));
        may_end.unwrap_or(false)
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
        if tokens > self.tokens.len() {
            return self.fail(CursorError::Failed(format!(
                "{tokens} tokens back of {}",
                self.tokens.len()
            )));
        }
        if tokens > 0 {
            self.late.forget();
            (self.ended, self.ready) = (false, None);
            self.closing = self.closing.take().and_then(|c| c.roll_back(tokens));
            self.places.truncate(self.places.len() - tokens);
            self.tokens.truncate(self.tokens.len() - tokens);
        }
        Ok(())
    }

    /// The tokens of a short ending from here, the end token counted: there may be a shorter one.
    /// 0 after the end, None where none is found.
    ///
    /// # Errors
    ///
    /// What the cursor failed of, now or before.
    pub fn shortest_end(&mut self) -> Result<Option<u32>, CursorError> {
        self.check()?;
        if self.ended {
            return Ok(Some(0));
        }
        let fuel = self.index.mask_fuel();
        let tokens = self.work(fuel, |reader, vocabulary, place| {
            reader.shortest_end(vocabulary, place)
        });
        // What takes too much work to find is not known; the cursor is none the worse for it.
        Ok(tokens.ok().filter(|tokens| *tokens < FAR))
    }

    /// From now on the answer ends within so many tokens, the end token counted: tokens that leave no
    /// room for an ending are refused, so that whoever chooses one asks `leaves_room` first. A
    /// cursor that is taken back behind this place forgets it. False, and nothing changes, where no
    /// ending that fits is known.
    ///
    /// # Errors
    ///
    /// What the cursor failed of, now or before.
    pub fn close_within(&mut self, tokens: u32) -> Result<bool, CursorError> {
        self.check()?;
        let ending = match self.ended {
            true => Some(Arc::default()),
            false => self.ending().ok().flatten(),
        };
        let begun = ending.and_then(|e| Closing::begin(self.index.vocabulary(), tokens, e));
        let begins = begun.is_some();
        if begins {
            self.closing = begun;
        }
        Ok(begins)
    }

    fn ending(&mut self) -> Result<Option<Arc<Ending>>, CursorError> {
        let fuel = self.index.mask_fuel();
        self.work(fuel, |reader, _, place| reader.ending_from(place))
    }

    /// Whether a token of the mask can be taken: always, unless the answer shall end in time and the
    /// token leaves no room for that, as far as a mask's fuel tells.
    ///
    /// # Errors
    ///
    /// What the cursor failed of before.
    pub fn leaves_room(&mut self, token: u32) -> Result<bool, CursorError> {
        self.check()?;
        let Some(closing) = self.closing.take() else {
            return Ok(true);
        };
        let fuel = self.index.mask_fuel();
        let found = self.work(fuel, |reader, vocabulary, place| {
            let ending = closing.after(reader, vocabulary, place, token);
            ending.is_some()
        });
        self.closing = Some(closing);
        Ok(found.unwrap_or(false))
    }

    /// Writes tokens of the mask that leave room for an ending: not all of them, but always one. All
    /// of the mask where the answer need not end in time.
    ///
    /// # Errors
    ///
    /// What the cursor failed of, now or before.
    pub fn closing_mask(&mut self, out: &mut [u32]) -> Result<(), CursorError> {
        self.mask(out)?;
        let Some(closing) = self.closing.take().filter(|_| !self.ended) else {
            return Ok(());
        };
        let fuel = self.index.mask_fuel();
        let kept = self.work(fuel, |reader, vocabulary, place| {
            reader.closing_tokens(vocabulary, place, out, &closing)
        });
        let first = closing.first(self.index.vocabulary());
        self.closing = Some(closing);
        out.fill(0);
        let kept = kept.unwrap_or_else(|_| first.into_iter().collect());
        kept.into_iter().for_each(|token| allow(out, token));
        Ok(())
    }

    /// Returns a second cursor at the same place.
    #[must_use]
    pub fn fork(&self) -> Cursor {
        self.clone()
    }

    /// Returns tokens that have to come next, one after the other; there may be more behind them.
    /// None are returned where more than one token may come, and where it takes much work to know:
    /// then the mask tells.
    ///
    /// # Errors
    ///
    /// What the cursor failed of, now or before.
    pub fn forced(&mut self) -> Result<&[u32], CursorError> {
        self.check()?;
        let _ = self.prepare_forced(self.index.mask_fuel().min(FORCED_FUEL));
        let ready = self.ready.as_ref().filter(|_| !self.ended);
        Ok(ready.map_or(&[], |ready| &ready.forced))
    }

    /// Finds out what is forced, where that is not known.
    fn prepare_forced(&mut self, fuel: u64) -> Result<(), CursorError> {
        let is_understood = self.index.vocabulary().tokenisation().is_some();
        if !is_understood || self.is_ready() {
            return Ok(());
        }
        let last = self.last_tokens();
        let forced = self.work(fuel, |reader, vocabulary, place| {
            reader.forced(vocabulary, place, &last)
        })?;
        self.ready = forced.and_then(|tokens| Ready::forced(&tokens));
        Ok(())
    }

    /// The tokens that what is forced may depend on.
    fn last_tokens(&self) -> Vec<u32> {
        match self.index.vocabulary().tokenisation() {
            Some(_) => {
                let start = self.tokens.len().saturating_sub(MAX_PENDING_TOKENS);
                self.tokens[start..].to_vec()
            }
            None => Vec::new(),
        }
    }
}

/// Where a token leads; a grammar may name an end token, else any ends an answer where it may.
pub(crate) fn take(
    reader: &mut dyn Reader,
    vocabulary: &Vocabulary,
    place: Configuration,
    token: u32,
) -> Option<Configuration> {
    let bytes = vocabulary.token_bytes(token);
    if !bytes.is_empty() {
        return read(reader, place, bytes);
    }
    let is_end = vocabulary.end_ids().contains(&token);
    let named = reader.take_special(place, token);
    named.or_else(|| (is_end && reader.may_end(place)).then_some(place))
}

/// Where some bytes lead.
fn read(reader: &mut dyn Reader, from: Configuration, bytes: &[u8]) -> Option<Configuration> {
    bytes
        .iter()
        .try_fold(from, |at, byte| reader.step(at, *byte))
}

/// The places after each of some tokens in a reader that has not met them, the start first; each
/// token may cost as much as when it was taken.
fn replay(
    working: &mut Working,
    index: &Index,
    tokens: &[u32],
) -> (Vec<Configuration>, Result<(), Exhausted>) {
    let mut places = vec![working.start()];
    for token in tokens {
        working.refuel(index.mask_fuel());
        let from = places[places.len() - 1];
        let next = take(&mut *working.reader, index.vocabulary(), from, *token);
        places.push(next.unwrap_or(Configuration::NOWHERE));
        if let Some(limit) = working.limit_reached() {
            places.resize(tokens.len() + 1, Configuration::NOWHERE);
            return (places, Err(limit));
        }
    }
    (places, Ok(()))
}
