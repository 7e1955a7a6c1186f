//! A regular expression that the whole text matches, run by derivatives.

use super::{CharacterMachine, Place};
use crate::charset::CharSet;
use crate::error::EngineError;
use crate::grammar::{Exhausted, MASK_FUEL};
use crate::index::Budget;
use crate::pattern::{self, Dialect, PatternError, PatternErrorKind};
use crate::regex::{RegexId, Regexes};

/// Nodes of the expression and of all its derivatives.
pub(crate) const MAX_REGEX_NODES: usize = 250_000;

/// An expression, its derivatives so far, and what it may still cost.
pub(crate) struct Expression {
    regexes: Regexes,
    start: RegexId,
    /// What is left of the fuel of this piece of work, and what it was given.
    fuel: u64,
    given: u64,
}

impl Expression {
    /// The machine of a pattern.
    ///
    /// # Errors
    ///
    /// `Malformed` with the offset, `Unsupported` with the construct, `TooLarge` for a limit.
    pub fn compile(pattern: &str, budget: &Budget) -> Result<Self, EngineError> {
        let mut regexes = Regexes::new();
        regexes.max_nodes = MAX_REGEX_NODES;
        let parsed = pattern::parse_whole(&mut regexes, pattern, Dialect::Text, "");
        if regexes.overflowed() {
            return Err(too_large("max_regex_nodes", MAX_REGEX_NODES as u64));
        }
        let start = parsed.map_err(refused)?;
        let mut fuel = budget.compile_fuel;
        match regexes.is_empty_language(start, &mut fuel) {
            Ok(false) => Ok(Expression {
                regexes,
                start,
                fuel: budget.mask_fuel,
                given: budget.mask_fuel,
            }),
            Ok(true) => Err(EngineError::Unsupported {
                pointer: String::new(),
                keyword: "regex".into(),
                reason: "matches no text".into(),
            }),
            Err(_) => Err(too_large("compile_fuel", budget.compile_fuel)),
        }
    }
}

/// The refusal for a limit that was passed.
pub(crate) fn too_large(limit: &'static str, maximum: u64) -> EngineError {
    EngineError::TooLarge {
        limit,
        maximum,
        asked: maximum + 1,
    }
}

fn refused(error: PatternError) -> EngineError {
    let PatternError {
        kind,
        message,
        offset,
    } = error;
    match kind {
        PatternErrorKind::Malformed => EngineError::Malformed {
            pointer: String::new(),
            keyword: String::new(),
            reason: format!("{message} at byte {offset} of the expression"),
        },
        PatternErrorKind::Unsupported => EngineError::Unsupported {
            pointer: String::new(),
            keyword: message,
            reason: format!("at byte {offset} of the expression is not supported"),
        },
    }
}

fn place(id: RegexId) -> Place {
    Place::from(id.index())
}

impl CharacterMachine for Expression {
    fn start(&self) -> Place {
        place(self.start)
    }

    fn step(&mut self, at: Place, code_point: u32) -> Option<Place> {
        self.fuel = self.fuel.saturating_sub(1);
        let next = self.regexes.derivative(RegexId::at(at.into()), code_point);
        match self.regexes.is_empty_language(next, &mut self.fuel) {
            Ok(is_empty) => (!is_empty).then(|| place(next)),
            Err(_) => {
                self.fuel = 0;
                None
            }
        }
    }

    fn classes(&mut self, at: Place) -> Vec<CharSet> {
        self.regexes.classes(RegexId::at(at.into())).to_vec()
    }

    fn may_end(&self, at: Place) -> bool {
        self.regexes.is_nullable(RegexId::at(at.into()))
    }

    fn near(&mut self, at: Place, reach: u32) -> Place {
        place(self.regexes.near(RegexId::at(at.into()), reach))
    }

    fn refuel(&mut self, fuel: u64) {
        (self.fuel, self.given) = (fuel, fuel);
    }

    fn fuel_left(&self) -> u64 {
        self.fuel
    }

    fn is_full(&self) -> bool {
        self.regexes.overflowed()
    }

    fn learnt_bytes(&self) -> usize {
        self.regexes.bytes()
    }

    fn limit_reached(&self) -> Option<Exhausted> {
        if self.regexes.overflowed() {
            return Some(Exhausted {
                limit: "max_regex_nodes",
                maximum: MAX_REGEX_NODES as u64,
            });
        }
        (self.fuel == 0).then_some(Exhausted {
            limit: MASK_FUEL,
            maximum: self.given,
        })
    }
}
