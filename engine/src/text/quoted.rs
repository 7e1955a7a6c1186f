//! Texts as JSON strings write them, without the quotes around: one character machine over another.
//!
//! Each text has one spelling. Quotes, backslashes and control characters are escaped, by one letter
//! where there is such an escape; all others stand for themselves.

use super::{CharacterMachine, Place};
use crate::charset::CharSet;
use crate::formula::Interner;
use crate::grammar::Exhausted;

const QUOTE: u32 = '"' as u32;
const BACKSLASH: u32 = '\\' as u32;
const CONTROLS: u32 = 0x20;
const DIGITS: u8 = 4;
/// Bytes of a spot and its number.
const SPOT_BYTES: usize = 64;

/// Where a spelling stands, in terms of the machine below.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
enum Spot {
    /// Between two characters of the text.
    Between(Place),
    /// Behind a backslash.
    Escape(Place),
    /// Behind `\u` and some of its digits.
    Hex { base: Place, read: u8, value: u32 },
}

/// Reads what another machine reads, spelled as in a JSON string.
pub(crate) struct Quoted<M> {
    machine: M,
    spots: Interner<Spot, Place>,
    start: Place,
}

impl<M: CharacterMachine> Quoted<M> {
    /// A machine that has met nothing yet.
    pub fn new(machine: M) -> Self {
        let mut spots = Interner::default();
        let start = spots.intern(Spot::Between(machine.start()));
        Quoted {
            machine,
            spots,
            start,
        }
    }

    fn spot(&self, at: Place) -> Spot {
        **self.spots.get(at)
    }

    fn between(&mut self, base: Place, character: u32) -> Option<Spot> {
        self.machine.step(base, character).map(Spot::Between)
    }

    fn spot_after(&mut self, at: Place, read: u32) -> Option<Spot> {
        match self.spot(at) {
            Spot::Between(base) if read == BACKSLASH => self
                .leads_on(base, is_escaped)
                .then_some(Spot::Escape(base)),
            Spot::Between(_) if is_escaped(read) => None,
            Spot::Between(base) => self.between(base, read),
            Spot::Escape(base) if read == u32::from(b'u') => self.digit(base, 0, 0),
            Spot::Escape(base) => self.between(base, character_of(read)?),
            Spot::Hex {
                base,
                read: count,
                value,
            } => {
                let digit = lower_digit(read)?;
                self.digit(base, count + 1, value << 4 | digit)
            }
        }
    }

    /// Behind so many digits of an escape without a letter of its own.
    fn digit(&mut self, base: Place, read: u8, value: u32) -> Option<Spot> {
        let missing = 4 * u32::from(DIGITS - read);
        let fits = |character: u32| letter_of(character).is_none() && character >> missing == value;
        if read == DIGITS {
            return fits(value).then(|| self.between(base, value)).flatten();
        }
        let leads_on = self.leads_on(base, |c| c < CONTROLS && fits(c));
        leads_on.then_some(Spot::Hex { base, read, value })
    }

    /// Whether one of some escaped characters may follow.
    fn leads_on(&mut self, base: Place, is_one: impl Fn(u32) -> bool) -> bool {
        (0..CONTROLS)
            .chain([QUOTE, BACKSLASH])
            .any(|character| is_one(character) && self.machine.step(base, character).is_some())
    }
}

fn is_escaped(character: u32) -> bool {
    character < CONTROLS || character == QUOTE || character == BACKSLASH
}

/// The letter behind the backslash of an escape that has one.
fn letter_of(character: u32) -> Option<u8> {
    Some(match character {
        8 => b'b',
        9 => b't',
        10 => b'n',
        12 => b'f',
        13 => b'r',
        QUOTE => b'"',
        BACKSLASH => b'\\',
        _ => return None,
    })
}

fn character_of(letter: u32) -> Option<u32> {
    [8, 9, 10, 12, 13, QUOTE, BACKSLASH]
        .into_iter()
        .find(|character| letter_of(*character).map(u32::from) == Some(letter))
}

fn lower_digit(read: u32) -> Option<u32> {
    let digit = char::from_u32(read)?;
    digit.to_digit(16).filter(|_| !digit.is_ascii_uppercase())
}

impl<M: CharacterMachine> CharacterMachine for Quoted<M> {
    fn start(&self) -> Place {
        self.start
    }

    fn step(&mut self, at: Place, code_point: u32) -> Option<Place> {
        let next = self.spot_after(at, code_point)?;
        Some(self.spots.intern(next))
    }

    fn classes(&mut self, at: Place) -> Vec<CharSet> {
        match self.spot(at) {
            Spot::Between(base) => self.machine.classes(base),
            _ => Vec::new(),
        }
    }

    fn may_end(&self, at: Place) -> bool {
        matches!(self.spot(at), Spot::Between(base) if self.machine.may_end(base))
    }

    fn near(&mut self, at: Place, reach: u32) -> Place {
        match self.spot(at) {
            // a spelling has no fewer characters than what it spells
            Spot::Between(base) => {
                let near = self.machine.near(base, reach);
                self.spots.intern(Spot::Between(near))
            }
            _ => at,
        }
    }

    fn refuel(&mut self, fuel: u64) {
        self.machine.refuel(fuel);
    }

    fn fuel_left(&self) -> u64 {
        self.machine.fuel_left()
    }

    fn limit_reached(&self) -> Option<Exhausted> {
        self.machine.limit_reached()
    }

    fn is_full(&self) -> bool {
        self.machine.is_full()
    }

    fn learnt_bytes(&self) -> usize {
        self.machine.learnt_bytes() + SPOT_BYTES * self.spots.len()
    }
}
