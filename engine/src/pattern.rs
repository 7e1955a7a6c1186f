//! ECMA-262 patterns as languages: the strings that contain a match.
//!
//! Syntax and meaning are those of the `u` flag, with the lenient escapes of Annex B and a few
//! spellings of other dialects whose meaning is clear. A pattern is compiled from its end to its
//! start: each part is given the language of everything behind it, so that a lookahead is an
//! intersection with the rest of the text. Assertions about what is before them (`^`, `\b`, a
//! lookbehind of one character) are told apart by *contexts*: the start of the text, and the
//! classes of a previous character.

mod compile;
mod syntax;
#[cfg(test)]
mod tests;

use crate::regex::{RegexId, Regexes};

/// Whose rules a pattern is read by.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// ECMA-262, as JSON Schema has it.
    Schema,
    /// Rust's `regex` crate, as the custom tools of OpenAI's API have it; also with assertions.
    Text,
    /// The same for one terminal of a grammar: without assertions and lazy quantifiers, which would
    /// be about the text around it.
    Terminal,
}

/// Why a pattern has no language here.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum PatternErrorKind {
    /// It is no ECMA-262 pattern.
    Malformed,
    /// It is beyond what the engine does, such as a backreference, or too large.
    Unsupported,
}

/// What is wrong with a pattern, and the byte at which.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PatternError {
    /// Whether the pattern or the engine is at fault.
    pub kind: PatternErrorKind,
    /// What is wrong, for a person.
    pub message: String,
    /// The byte offset in the pattern.
    pub offset: usize,
}

/// Small steps that a range of a set of characters takes.
const RANGE_STEPS: usize = 2;

/// The language of all strings that contain a match of the pattern.
pub fn parse(regexes: &mut Regexes, pattern: &str) -> Result<RegexId, PatternError> {
    let (syntax, ranges) = syntax::read(pattern, Dialect::Schema, "")?;
    regexes.spend_steps(RANGE_STEPS * ranges + pattern.len());
    let language = compile::compile(regexes, syntax)?;
    within_limits(regexes, language)
}

/// The language of all strings that match the pattern as a whole; `modes` are the letters of flags
/// that hold for all of it.
pub fn parse_whole(
    regexes: &mut Regexes,
    pattern: &str,
    dialect: Dialect,
    modes: &str,
) -> Result<RegexId, PatternError> {
    let (syntax, ranges) = syntax::read(pattern, dialect, modes)?;
    regexes.spend_steps(RANGE_STEPS * ranges + pattern.len());
    let language = compile::compile_whole(regexes, syntax)?;
    within_limits(regexes, language)
}

fn within_limits(regexes: &Regexes, language: RegexId) -> Result<RegexId, PatternError> {
    if regexes.overflowed() {
        Err(compile::too_large())
    } else {
        Ok(language)
    }
}
