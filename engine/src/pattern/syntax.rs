//! From the text of a pattern to its parts.

mod class;
mod folding;
mod nested_class;

use std::iter::Peekable;
use std::str::CharIndices;

use super::{Dialect, PatternError, PatternErrorKind};
use crate::charset::CharSet;

/// How deep groups may nest.
const MAX_DEPTH: usize = 250;
/// The largest count of a quantifier.
const MAX_COUNT: u32 = 1 << 30;
const LINE_TERMINATORS: [(u32, u32); 3] = [(0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)];

/// One part of a pattern.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Set(CharSet),
    Sequence(Vec<Part>),
    Alternatives(Vec<Part>),
    Repeat {
        body: Box<Part>,
        low: u32,
        high: Option<u32>,
    },
    Start,
    End,
    WordBoundary {
        word: CharSet,
        negated: bool,
    },
    Lookahead {
        body: Box<Part>,
        negated: bool,
    },
    Lookbehind {
        body: Box<Part>,
        negated: bool,
        offset: usize,
    },
}

/// Ranges of characters that the sets of one pattern may be put together from.
const MAX_RANGES: usize = 1 << 21;

/// Reads a whole pattern; also returns how many ranges its sets were put together from.
pub(super) fn read(
    pattern: &str,
    dialect: Dialect,
    modes: &str,
) -> Result<(Part, usize), PatternError> {
    let flags = Flags {
        ignore_case: modes.contains('i'),
        dot_all: modes.contains('s'),
        multi_line: modes.contains('m'),
        verbose: modes.contains('x'),
    };
    let mut reader = Reader {
        text: pattern,
        rest: pattern.char_indices().peekable(),
        depth: 0,
        ranges: 0,
        flags,
        dialect,
    };
    let part = reader.alternatives()?;
    match reader.rest.peek() {
        None => Ok((part, reader.ranges)),
        Some(_) => Err(reader.malformed("unmatched ')'")),
    }
}

/// The modes that `(?i)` and its like switch.
#[derive(Copy, Clone, Default)]
struct Flags {
    ignore_case: bool,
    dot_all: bool,
    multi_line: bool,
    verbose: bool,
}

struct Reader<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
    depth: usize,
    /// Ranges that sets were put together from.
    ranges: usize,
    flags: Flags,
    dialect: Dialect,
}

impl Reader<'_> {
    fn offset(&mut self) -> usize {
        self.rest
            .peek()
            .map_or(self.text.len(), |&(offset, _)| offset)
    }

    /// Counts what a set was put together from.
    fn count_ranges(&mut self, ranges: usize) -> Result<(), PatternError> {
        self.ranges += ranges;
        if self.ranges > MAX_RANGES {
            return Err(self.unsupported("too many ranges of characters"));
        }
        Ok(())
    }

    fn peek(&mut self) -> Option<char> {
        self.rest.peek().map(|&(_, c)| c)
    }

    fn next(&mut self) -> Option<char> {
        self.rest.next().map(|(_, c)| c)
    }

    /// What is not read yet.
    fn ahead(&mut self) -> &str {
        let offset = self.offset();
        &self.text[offset..]
    }

    /// Reads the text if it comes next.
    fn takes(&mut self, expected: &str) -> bool {
        let found = self.ahead().starts_with(expected);
        if found {
            self.skip(expected.chars().count());
        }
        found
    }

    fn skip(&mut self, characters: usize) {
        for _ in 0..characters {
            self.rest.next();
        }
    }

    fn malformed(&mut self, message: impl Into<String>) -> PatternError {
        self.error(PatternErrorKind::Malformed, message)
    }

    fn unsupported(&mut self, message: impl Into<String>) -> PatternError {
        self.error(PatternErrorKind::Unsupported, message)
    }

    fn error(&mut self, kind: PatternErrorKind, message: impl Into<String>) -> PatternError {
        PatternError {
            kind,
            message: message.into(),
            offset: self.offset(),
        }
    }

    /// Alternatives up to a closing parenthesis or the end.
    fn alternatives(&mut self) -> Result<Part, PatternError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.unsupported(format!("groups nest deeper than {MAX_DEPTH}")));
        }
        let flags = self.flags;
        let mut alternatives = vec![self.sequence()?];
        while self.takes("|") {
            alternatives.push(self.sequence()?);
        }
        self.flags = flags;
        self.depth -= 1;
        match alternatives.len() {
            1 => Ok(alternatives.remove(0)),
            _ => Ok(Part::Alternatives(alternatives)),
        }
    }

    fn sequence(&mut self) -> Result<Part, PatternError> {
        let mut parts = Vec::new();
        self.skip_blanks();
        while !matches!(self.peek(), None | Some('|' | ')')) {
            if let Some(part) = self.term()? {
                parts.push(part);
            }
            self.skip_blanks();
        }
        match parts.len() {
            1 => Ok(parts.remove(0)),
            _ => Ok(Part::Sequence(parts)),
        }
    }

    /// Skips whitespace and comments where `(?x)` says so.
    fn skip_blanks(&mut self) {
        while self.flags.verbose {
            match self.peek() {
                Some('#') => while !matches!(self.next(), None | Some('\n')) {},
                Some(c) if c.is_whitespace() => self.skip(1),
                _ => return,
            }
        }
    }

    /// An atom with its quantifier, or an assertion; nothing for a group of flags.
    fn term(&mut self) -> Result<Option<Part>, PatternError> {
        let Some(atom) = self.atom()? else {
            return Ok(None);
        };
        if self.dialect == Dialect::Terminal && is_assertion(&atom) {
            let trivial = matches!(atom, Part::Start | Part::End);
            if !trivial {
                return Err(self.unsupported("an assertion in a terminal"));
            }
        }
        self.skip_blanks();
        let Some(counts) = self.quantifier()? else {
            return Ok(Some(atom));
        };
        let mut repeated = self.repeated(atom, counts)?;
        while self.dialect != Dialect::Schema {
            self.skip_blanks();
            let Some(counts) = self.quantifier()? else {
                break;
            };
            repeated = self.repeated(repeated, counts)?;
        }
        Ok(Some(repeated))
    }

    fn repeated(
        &mut self,
        atom: Part,
        (low, high): (u32, Option<u32>),
    ) -> Result<Part, PatternError> {
        match atom {
            Part::Lookahead { .. } => Err(self.unsupported("a quantified lookahead")),
            atom if is_assertion(&atom) => Err(self.malformed("a quantified assertion")),
            body => Ok(Part::Repeat {
                body: Box::new(body),
                low,
                high,
            }),
        }
    }

    fn atom(&mut self) -> Result<Option<Part>, PatternError> {
        if self.bounds().is_some() {
            return Err(self.malformed("nothing to repeat"));
        }
        let part = match self.next() {
            Some('^' | '$') if self.flags.multi_line => {
                return Err(self.unsupported("an anchor of lines"));
            }
            Some('^') => Part::Start,
            Some('$') => Part::End,
            Some('.') => Part::Set(self.dot()),
            Some('[') if self.dialect == Dialect::Schema => Part::Set(self.class()?),
            Some('[') => Part::Set(self.nested_class()?),
            Some('{') if self.dialect != Dialect::Schema => {
                return Err(self.malformed("a '{' that is no count needs a '\\' before it"));
            }
            Some('(') => return self.group(),
            Some('\\') => self.escaped()?,
            Some('*' | '+' | '?') => return Err(self.malformed("nothing to repeat")),
            Some(c) => Part::Set(self.folded(CharSet::single(u32::from(c)))?),
            None => return Err(self.malformed("an atom is missing")),
        };
        Ok(Some(part))
    }

    fn dot(&self) -> CharSet {
        let lines = match self.dialect {
            Dialect::Schema => CharSet::from_ranges(LINE_TERMINATORS),
            Dialect::Text | Dialect::Terminal => CharSet::single(0x0A),
        };
        if self.flags.dot_all {
            CharSet::all()
        } else {
            lines.complement()
        }
    }

    /// The set, with the other cases of its members if case does not matter.
    fn folded(&mut self, set: CharSet) -> Result<CharSet, PatternError> {
        if !self.flags.ignore_case {
            return Ok(set);
        }
        self.count_ranges(folding::work(&set))?;
        Ok(folding::close(&set))
    }

    /// What an opening parenthesis begins.
    fn group(&mut self) -> Result<Option<Part>, PatternError> {
        let offset = self.offset();
        let negated = self.ahead().starts_with("?!") || self.ahead().starts_with("?<!");
        let part = if self.takes("?=") || self.takes("?!") {
            Part::Lookahead {
                body: self.group_body()?,
                negated,
            }
        } else if self.takes("?<=") || self.takes("?<!") {
            Part::Lookbehind {
                body: self.group_body()?,
                negated,
                offset,
            }
        } else if self.takes("?:") {
            *self.group_body()?
        } else if self.takes("?<") || self.takes("?P<") {
            self.group_name()?;
            *self.group_body()?
        } else if self.takes("?") {
            return self.flag_group();
        } else {
            *self.group_body()?
        };
        Ok(Some(part))
    }

    fn group_body(&mut self) -> Result<Box<Part>, PatternError> {
        let body = self.alternatives()?;
        if !self.takes(")") {
            return Err(self.malformed("a ')' is missing"));
        }
        // A group may be quantified also where its assertion may not.
        let grouped = if is_assertion(&body) {
            Part::Sequence(vec![body])
        } else {
            body
        };
        Ok(Box::new(grouped))
    }

    fn group_name(&mut self) -> Result<(), PatternError> {
        let name: String = self.ahead().chars().take_while(|&c| c != '>').collect();
        let starts = |c: char| c.is_alphabetic() || c == '_' || c == '$';
        let valid =
            name.starts_with(starts) && name.chars().all(|c| starts(c) || c.is_alphanumeric());
        if !valid {
            return Err(self.malformed("a group's name is missing or wrong"));
        }
        self.skip(name.chars().count());
        if self.takes(">") {
            Ok(())
        } else {
            Err(self.malformed("a '>' is missing"))
        }
    }

    /// `(?i)` for the rest of the enclosing group, or `(?i:...)`.
    fn flag_group(&mut self) -> Result<Option<Part>, PatternError> {
        let outer = self.flags;
        let mut on = true;
        loop {
            match self.peek() {
                Some('-') if on => on = false,
                Some('i') => self.flags.ignore_case = on,
                Some('s') => self.flags.dot_all = on,
                Some('u') => {}
                Some('m') if self.dialect != Dialect::Schema => self.flags.multi_line = on,
                Some('x') if self.dialect != Dialect::Schema => self.flags.verbose = on,
                Some('U') if self.dialect == Dialect::Text => {}
                Some(')') => return Ok(self.next().and(None)),
                Some(':') => break,
                _ => return Err(self.unsupported("this kind of group")),
            }
            self.next();
        }
        self.next();
        let body = self.group_body()?;
        self.flags = outer;
        Ok(Some(*body))
    }

    /// The counts of a quantifier, if one comes next.
    fn quantifier(&mut self) -> Result<Option<(u32, Option<u32>)>, PatternError> {
        let counts = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            _ => return self.counted(),
        };
        self.next();
        self.lazy()?;
        Ok(Some(counts))
    }

    fn counted(&mut self) -> Result<Option<(u32, Option<u32>)>, PatternError> {
        let Some((low, high, length)) = self.bounds() else {
            return Ok(None);
        };
        if high.is_some_and(|high| high < low) {
            return Err(self.malformed("the counts of a quantifier are out of order"));
        }
        if low > MAX_COUNT || high.is_some_and(|high| high > MAX_COUNT) {
            return Err(self.unsupported(format!("a count above {MAX_COUNT}")));
        }
        self.skip(length);
        self.lazy()?;
        Ok(Some((low, high)))
    }

    /// A lazy quantifier gives the same language; a possessive one does not.
    fn lazy(&mut self) -> Result<(), PatternError> {
        if self.peek() == Some('+') && self.dialect == Dialect::Schema {
            return Err(self.unsupported("a possessive quantifier"));
        }
        if self.takes("?") && self.dialect == Dialect::Terminal {
            // A terminal is as long as it can be, and would not be what it says.
            return Err(self.unsupported("a lazy quantifier in a terminal"));
        }
        Ok(())
    }

    /// `{2}`, `{2,}` or `{2,5}` and its length; other braces are literal characters.
    fn bounds(&mut self) -> Option<(u32, Option<u32>, usize)> {
        let offset = self.offset();
        let inside = self.text[offset..].strip_prefix('{')?;
        let length = inside.find(|c: char| !c.is_ascii_digit() && c != ',')?;
        let inside = inside[length..]
            .starts_with('}')
            .then_some(&inside[..length])?;
        let (low, high) = match inside.split_once(',') {
            None => (count(inside)?, Some(count(inside)?)),
            Some(("", high)) if self.dialect != Dialect::Schema => (0, Some(count(high)?)),
            Some((low, "")) => (count(low)?, None),
            Some((low, high)) => (count(low)?, Some(count(high)?)),
        };
        Some((low, high, inside.len() + 2))
    }
}

fn is_assertion(part: &Part) -> bool {
    !matches!(
        part,
        Part::Set(_) | Part::Sequence(_) | Part::Alternatives(_) | Part::Repeat { .. }
    )
}

/// A decimal number; too large a one becomes the largest.
fn count(digits: &str) -> Option<u32> {
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| digits.parse().unwrap_or(u32::MAX))
}
