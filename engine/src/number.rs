//! The JSON texts of numbers under constraints, walked byte by byte.
//!
//! A [`NumberLanguage`] is a disjunction of [`NumberGoal`]s and a choice of spellings. Its states
//! never lead into a dead end: a step is allowed exactly if some member of the language continues
//! so. That is decided by arithmetic on the digits, not by an automaton, so that neither large
//! bounds nor large divisors cost anything; states whose futures agree are mostly equal.
//!
//! Canonical spelling: integers without point, exponent or `-0`; other numbers without exponent and
//! without a zero at the end. A text has at most 17 significant digits, which integers may continue
//! with zeros up to 21 and fractions may precede with 7 zeros, unless the goals ask for more.
//! All spellings: every JSON text of at most 36 digits (or more if the goals ask) and 4 exponent
//! digits whose value is zero or in the range of finite doubles.
//!
//! A goal may also ask for *plain* texts, without a fraction or exponent part, or for others: a goal
//! that does is dropped where the text becomes another.

mod ending;
mod exponent;
mod goal;
mod language;
mod magnitude;
mod mantissa;
mod place;
mod scale;
mod settle;
#[cfg(test)]
mod tests;

pub use goal::{Bound, NumberGoal};
pub use language::{NumberLanguage, NumberState};
use std::fmt;

/// Which texts of a value are members.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Spellings {
    /// One text for each value.
    Canonical,
    /// Every JSON text within the digit limits.
    All,
}

/// Goals beyond what number languages count in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NumberLimitError {
    /// The common multiple of divisors has more than 36 digits.
    LargeDivisor,
}

impl fmt::Display for NumberLimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the common multiple of multipleOf values has more than 36 digits"
        )
    }
}

impl std::error::Error for NumberLimitError {}
