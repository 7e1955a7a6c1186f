//! What stands on the right of a definition.

use super::syntax::Parser;
use super::token::{Spot, Word};
use crate::error::EngineError;

/// How deep groups may nest.
const MAX_DEPTH: u32 = 128;
/// Operators behind one atom.
const MAX_OPERATORS: u32 = 8;
/// The largest count of a repetition.
const MAX_COUNT: u32 = 1 << 20;

/// What may stand on the right of a definition.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Expression {
    Rule(String, Spot),
    Terminal(String, Spot),
    Text {
        text: String,
        ignore_case: bool,
    },
    Range(char, char),
    Pattern {
        pattern: String,
        modes: String,
        at: Spot,
    },
    Sequence(Vec<Expression>),
    Alternatives(Vec<Expression>),
    Repeat {
        body: Box<Expression>,
        low: u32,
        high: Option<u32>,
    },
    /// Texts that belong to all the parts; in terminals only.
    All(Vec<Expression>, Spot),
    /// Texts that do not belong to the part; in terminals only.
    Not(Box<Expression>, Spot),
}

impl Parser {
    /// Alternatives up to what ends a definition or a group.
    pub fn alternatives(&mut self) -> Result<Expression, EngineError> {
        self.depth += 1;
        EngineError::check_limit("max_depth", MAX_DEPTH as usize, self.depth as usize)?;
        let mut alternatives = vec![self.alternative()?];
        while self.takes("|") {
            alternatives.push(self.alternative()?);
        }
        self.depth -= 1;
        Ok(match alternatives.len() {
            1 => alternatives.remove(0),
            _ => Expression::Alternatives(alternatives),
        })
    }

    /// A sequence, with the name that a tree would have for it.
    fn alternative(&mut self) -> Result<Expression, EngineError> {
        let at = self.at();
        let mut parts = vec![self.sequence()?];
        while self.takes("&") {
            parts.push(self.sequence()?);
        }
        if self.takes("->") {
            match self.take() {
                Word::Rule(_) | Word::Terminal(_) => {}
                _ => {
                    self.next -= 1;
                    return Err(self.expected("a name"));
                }
            }
        }
        Ok(match parts.len() {
            1 => parts.remove(0),
            _ => Expression::All(parts, at),
        })
    }

    fn sequence(&mut self) -> Result<Expression, EngineError> {
        let mut parts = Vec::new();
        while let Some(atom) = self.atom()? {
            parts.push(self.repeated(atom)?);
        }
        Ok(match parts.len() {
            1 => parts.remove(0),
            _ => Expression::Sequence(parts),
        })
    }

    /// What stands alone; nothing where no such thing comes next.
    fn atom(&mut self) -> Result<Option<Expression>, EngineError> {
        let at = self.at();
        let atom = match self.peek().clone() {
            Word::Rule(name) => {
                self.next += 1;
                self.refuse_arguments()?;
                Expression::Rule(name, at)
            }
            Word::Terminal(name) => {
                self.next += 1;
                self.refuse_arguments()?;
                Expression::Terminal(name, at)
            }
            Word::Text { text, ignore_case } => {
                self.next += 1;
                return self.text_or_range(text, ignore_case).map(Some);
            }
            Word::Pattern { pattern, modes } => {
                self.next += 1;
                Expression::Pattern { pattern, modes, at }
            }
            Word::Mark("(") => self.bracketed(")")?,
            Word::Mark("[") => optional(self.bracketed("]")?),
            Word::Mark("~") => {
                self.next += 1;
                return self.complement(at).map(Some);
            }
            Word::Mark("<") => return Err(at.unsupported("special tokens")),
            Word::Mark("@") => return Err(at.unsupported("references to other grammars")),
            Word::Directive(name) => return Err(at.unsupported(format!("%{name}"))),
            _ => return Ok(None),
        };
        Ok(Some(atom))
    }

    fn bracketed(&mut self, closing: &str) -> Result<Expression, EngineError> {
        self.next += 1;
        let inside = self.alternatives()?;
        self.expect(closing)?;
        Ok(inside)
    }

    fn complement(&mut self, at: Spot) -> Result<Expression, EngineError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(at.malformed("complements nest too deep"));
        }
        let Some(atom) = self.atom()? else {
            return Err(self.expected("what is not meant"));
        };
        self.depth -= 1;
        Ok(Expression::Not(Box::new(atom), at))
    }

    fn refuse_arguments(&self) -> Result<(), EngineError> {
        let is_call = match (self.peek(), self.peek_after(1)) {
            (Word::Mark("{"), Word::Number(_) | Word::Mark(",")) => false,
            (Word::Mark("{" | "::"), _) => true,
            _ => false,
        };
        if is_call {
            return Err(self.at().unsupported("templates and parameters"));
        }
        Ok(())
    }

    fn text_or_range(
        &mut self,
        text: String,
        ignore_case: bool,
    ) -> Result<Expression, EngineError> {
        let at = self.at();
        if !self.takes("..") {
            return Ok(Expression::Text { text, ignore_case });
        }
        let Word::Text { text: last, .. } = self.peek().clone() else {
            return Err(self.expected("a string"));
        };
        self.next += 1;
        match (only_character(&text), only_character(&last)) {
            (Some(low), Some(high)) if low <= high => Ok(Expression::Range(low, high)),
            (Some(_), Some(_)) => Err(at.malformed("the range is out of order")),
            _ => Err(at.malformed("a range needs strings of one character")),
        }
    }

    /// An atom with the operators behind it.
    fn repeated(&mut self, atom: Expression) -> Result<Expression, EngineError> {
        let mut repeated = atom;
        let mut operators = 0;
        while let Some((low, high)) = self.counts()? {
            operators += 1;
            if operators > MAX_OPERATORS {
                return Err(self.at().malformed("too many operators in a row"));
            }
            repeated = Expression::Repeat {
                body: Box::new(repeated),
                low,
                high,
            };
        }
        Ok(repeated)
    }

    fn counts(&mut self) -> Result<Option<(u32, Option<u32>)>, EngineError> {
        let at = self.at();
        let counts = match self.peek() {
            Word::Mark("?") => (0, Some(1)),
            Word::Mark("*") => (0, None),
            Word::Mark("+") => (1, None),
            Word::Mark("~") => {
                self.next += 1;
                let low = self.count()?;
                let high = if self.takes("..") { self.count()? } else { low };
                return check_counts(low, Some(high), at).map(Some);
            }
            Word::Mark("{") => return self.braced_counts(at).map(Some),
            _ => return Ok(None),
        };
        self.next += 1;
        Ok(Some(counts))
    }

    /// `{2}`, `{2,}`, `{,5}` or `{2,5}`.
    fn braced_counts(&mut self, at: Spot) -> Result<(u32, Option<u32>), EngineError> {
        self.next += 1;
        let is_given = |parser: &Self| matches!(parser.peek(), Word::Number(_));
        let low = if is_given(self) {
            Some(self.count()?)
        } else {
            None
        };
        let has_comma = self.takes(",");
        let high = if has_comma && is_given(self) {
            Some(self.count()?)
        } else {
            None
        };
        if low.is_none() && high.is_none() {
            return Err(self.expected("a count"));
        }
        self.expect("}")?;
        let high = if has_comma { high } else { low };
        check_counts(low.unwrap_or(0), high, at)
    }

    fn count(&mut self) -> Result<u32, EngineError> {
        match *self.peek() {
            Word::Number(number) => {
                self.next += 1;
                Ok(number)
            }
            _ => Err(self.expected("a count")),
        }
    }
}

fn check_counts(low: u32, high: Option<u32>, at: Spot) -> Result<(u32, Option<u32>), EngineError> {
    if high.is_some_and(|high| high < low) {
        return Err(at.malformed("the counts are out of order"));
    }
    let asked = low.max(high.unwrap_or(0));
    EngineError::check_limit("max_count", MAX_COUNT as usize, asked as usize)?;
    Ok((low, high))
}

fn optional(body: Expression) -> Expression {
    Expression::Repeat {
        body: Box::new(body),
        low: 0,
        high: Some(1),
    }
}

fn only_character(text: &str) -> Option<char> {
    let mut characters = text.chars();
    characters.next().filter(|_| characters.next().is_none())
}
