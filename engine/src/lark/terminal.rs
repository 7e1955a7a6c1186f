//! Terminals: languages of code points, made of strings, regular expressions and one another.

use std::collections::HashMap;

use super::common;
use super::expression::Expression;
use super::syntax::{Definition, Syntax};
use super::token::Spot;
use crate::charset::CharSet;
use crate::error::EngineError;
use crate::pattern::{self, Dialect, PatternErrorKind};
use crate::regex::{RegexId, Regexes};
use crate::text::{MAX_REGEX_NODES, too_large};

/// How deep terminals may refer to one another, groups counted.
const MAX_DEPTH: u32 = 256;

/// What a terminal's name stands for.
enum Named<'a> {
    Defined(&'a Definition),
    Library(&'static str),
    /// Its definition is being read.
    Open,
    Known(RegexId),
}

/// The terminals of a grammar by name, and the languages they have.
pub(super) struct Terminals<'a> {
    pub regexes: Regexes,
    named: HashMap<&'a str, Named<'a>>,
    depth: u32,
}

impl<'a> Terminals<'a> {
    /// The terminals that a grammar defines and imports.
    ///
    /// # Errors
    ///
    /// `Malformed` for a name that is defined twice or that the library lacks.
    pub fn new(syntax: &'a Syntax) -> Result<Self, EngineError> {
        let mut regexes = Regexes::new();
        regexes.max_nodes = MAX_REGEX_NODES;
        let mut named = HashMap::new();
        for import in &syntax.imports {
            let Some(pattern) = common::find(&import.name) else {
                let reason = format!("the library has no terminal '{}'", import.name);
                return Err(import.at.malformed(reason));
            };
            named.insert(import.alias.as_str(), Named::Library(pattern));
        }
        for definition in &syntax.terminals {
            let entry = Named::Defined(definition);
            if named.insert(&definition.name, entry).is_some() {
                let reason = format!("the terminal '{}' is defined twice", definition.name);
                return Err(definition.at.malformed(reason));
            }
        }
        Ok(Terminals {
            regexes,
            named,
            depth: 0,
        })
    }

    /// The language of an expression over terminals.
    ///
    /// # Errors
    ///
    /// `Malformed` and `Unsupported` with the place, `TooLarge` for a limit.
    pub fn language(&mut self, expression: &Expression) -> Result<RegexId, EngineError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(too_large("max_depth", u64::from(MAX_DEPTH)));
        }
        let language = self.language_below(expression)?;
        self.depth -= 1;
        if self.regexes.overflowed() {
            return Err(too_large("max_regex_nodes", MAX_REGEX_NODES as u64));
        }
        Ok(language)
    }

    fn language_below(&mut self, expression: &Expression) -> Result<RegexId, EngineError> {
        match expression {
            Expression::Rule(name, at) => {
                Err(at.malformed(format!("the rule '{name}' cannot be part of a terminal")))
            }
            Expression::Terminal(name, at) => self.of_name(name, *at),
            Expression::Text { text, ignore_case } => self.of_text(text, *ignore_case),
            Expression::Range(low, high) => {
                let range = (u32::from(*low), u32::from(*high));
                Ok(self.regexes.set(CharSet::from_ranges([range])))
            }
            Expression::Pattern { pattern, modes, at } => self.of_pattern(pattern, modes, *at),
            Expression::Sequence(parts) => {
                let parts = self.languages(parts)?;
                Ok(self.regexes.concat_all(&parts))
            }
            Expression::Alternatives(parts) => {
                let parts = self.languages(parts)?;
                Ok(self.regexes.union_all(parts))
            }
            Expression::Repeat { body, low, high } => {
                let body = self.language(body)?;
                Ok(self.regexes.repeat(body, *low, *high))
            }
            Expression::All(parts, _) => {
                let parts = self.languages(parts)?;
                Ok(self.regexes.intersection_all(parts))
            }
            Expression::Not(body, _) => {
                let body = self.language(body)?;
                Ok(self.regexes.complement(body))
            }
        }
    }

    fn languages(&mut self, parts: &[Expression]) -> Result<Vec<RegexId>, EngineError> {
        parts.iter().map(|part| self.language(part)).collect()
    }

    fn of_name(&mut self, name: &str, at: Spot) -> Result<RegexId, EngineError> {
        let Some(named) = self.named.get_mut(name) else {
            return Err(at.malformed(format!("the terminal '{name}' is not defined")));
        };
        let language = match std::mem::replace(named, Named::Open) {
            Named::Open => {
                return Err(at.malformed(format!("the terminal '{name}' contains itself")));
            }
            Named::Known(language) => language,
            Named::Defined(definition) => self.language(&definition.body)?,
            Named::Library(pattern) => self.of_pattern(pattern, "", at)?,
        };
        if let Some(named) = self.named.get_mut(name) {
            *named = Named::Known(language);
        }
        Ok(language)
    }

    fn of_text(&mut self, text: &str, ignore_case: bool) -> Result<RegexId, EngineError> {
        if !ignore_case {
            return Ok(self.regexes.literal(text));
        }
        if text.is_ascii() {
            let letters = text.bytes().map(|byte| {
                let cases = [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()];
                let cases = cases.map(|case| (u32::from(case), u32::from(case)));
                self.regexes.set(CharSet::from_ranges(cases))
            });
            let letters: Vec<RegexId> = letters.collect();
            return Ok(self.regexes.concat_all(&letters));
        }
        let escaped = |c: char| format!("\\x{{{:x}}}", u32::from(c));
        let pattern: String = text.chars().map(escaped).collect();
        self.of_pattern(&pattern, "i", Spot { line: 1, column: 1 })
    }

    fn of_pattern(&mut self, pattern: &str, modes: &str, at: Spot) -> Result<RegexId, EngineError> {
        let parsed = pattern::parse_whole(&mut self.regexes, pattern, Dialect::Terminal, modes);
        if self.regexes.overflowed() {
            return Err(too_large("max_regex_nodes", MAX_REGEX_NODES as u64));
        }
        parsed.map_err(|error| match error.kind {
            PatternErrorKind::Unsupported => at.unsupported(error.message),
            PatternErrorKind::Malformed => at.malformed(format!(
                "{} at byte {} of the regular expression",
                error.message, error.offset
            )),
        })
    }
}
