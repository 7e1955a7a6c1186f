//! Split patterns: the expressions with which tokenizers cut text into pieces, as programs.
//!
//! The dialect is what GPT-2's pattern and its descendants are written in: classes, alternatives
//! (the first that matches counts), greedy and possessive repetition, lookahead. A pattern that
//! says anything else is not understood, and nothing is forced with its tokenizer.

use crate::charset::CharSet;
use crate::unicode::property;

/// A part of a pattern.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// One character of a set.
    Class(CharSet),
    Sequence(Vec<Part>),
    /// The first that matches.
    Choice(Vec<Part>),
    Repeat(Box<Repeat>),
    /// What follows does, or does not, begin so.
    Look {
        part: Box<Part>,
        is_negative: bool,
    },
    /// The end of the text.
    End,
}

/// A part that may stand several times.
#[derive(Clone, Debug)]
pub(super) struct Repeat {
    pub part: Part,
    pub least: u32,
    pub most: Option<u32>,
    /// What it took is never given back.
    pub is_possessive: bool,
}

/// Nested groups that a pattern may have.
const MAX_DEPTH: usize = 32;
/// Times that a part may be asked for by number.
const MAX_TIMES: u32 = 64;

impl Part {
    /// Reads a pattern; None where it is not understood.
    pub fn read(pattern: &str) -> Option<Part> {
        let mut parser = Parser {
            characters: pattern.chars().collect(),
            at: 0,
            depth: 0,
            folds: false,
        };
        let part = parser.choice()?;
        (parser.at == parser.characters.len()).then_some(part)
    }

    /// Whether it can match without a character.
    pub fn may_be_empty(&self) -> bool {
        match self {
            Part::Class(_) => false,
            Part::Sequence(parts) => parts.iter().all(Part::may_be_empty),
            Part::Choice(parts) => parts.iter().any(Part::may_be_empty),
            Part::Repeat(repeat) => repeat.least == 0 || repeat.part.may_be_empty(),
            Part::Look { .. } | Part::End => true,
        }
    }
}

struct Parser {
    characters: Vec<char>,
    at: usize,
    depth: usize,
    /// Upper and lower case are the same here.
    folds: bool,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    fn takes(&mut self, text: &str) -> bool {
        let fits = text
            .chars()
            .enumerate()
            .all(|(place, c)| self.characters.get(self.at + place) == Some(&c));
        if fits {
            self.at += text.chars().count();
        }
        fits
    }

    fn choice(&mut self) -> Option<Part> {
        let mut parts = vec![self.sequence()?];
        while self.takes("|") {
            parts.push(self.sequence()?);
        }
        match parts.len() {
            1 => parts.pop(),
            _ => Some(Part::Choice(parts)),
        }
    }

    fn sequence(&mut self) -> Option<Part> {
        let mut parts = Vec::new();
        while self.peek().is_some_and(|c| c != '|' && c != ')') {
            let atom = self.atom()?;
            parts.push(self.repeated(atom)?);
        }
        Some(Part::Sequence(parts))
    }

    fn atom(&mut self) -> Option<Part> {
        match self.next()? {
            '(' => self.group(),
            '[' => self.set().map(Part::Class),
            '.' => Some(Part::Class(CharSet::single(u32::from('\n')).complement())),
            '$' => Some(Part::End),
            '\\' => self.escape().map(Part::Class),
            '^' | '*' | '+' | '?' | '{' | '}' | ']' | ')' | '|' => None,
            c => Some(Part::Class(self.character(c))),
        }
    }

    fn group(&mut self) -> Option<Part> {
        self.depth += 1;
        let folded = self.folds;
        let look = match () {
            () if self.takes("?!") => Some(true),
            () if self.takes("?=") => Some(false),
            () if self.takes("?i:") => {
                self.folds = true;
                None
            }
            () if self.takes("?:") => None,
            () if self.peek() == Some('?') => return None,
            () => None,
        };
        let part = Some(self.choice()?).filter(|_| self.depth <= MAX_DEPTH && self.takes(")"))?;
        self.folds = folded;
        self.depth -= 1;
        Some(match look {
            Some(is_negative) => Part::Look {
                part: Box::new(part),
                is_negative,
            },
            None => part,
        })
    }

    fn repeated(&mut self, part: Part) -> Option<Part> {
        let (least, most) = match self.peek() {
            Some('?') => (0, Some(1)),
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('{') => self.times()?,
            _ => return Some(part),
        };
        if self.peek() != Some('{') {
            self.at += 1;
        }
        let is_possessive = self.takes("+");
        let is_odd = matches!(self.peek(), Some('?' | '*' | '{'));
        let is_endless = most.is_none() && part.may_be_empty();
        let repeat = Repeat {
            part,
            least,
            most,
            is_possessive,
        };
        (!is_odd && !is_endless).then(|| Part::Repeat(Box::new(repeat)))
    }

    /// Reads `{2}`, `{2,}` or `{2,3}` but for the closing brace, which is where `?` would be.
    fn times(&mut self) -> Option<(u32, Option<u32>)> {
        self.at += 1;
        let least = self.number()?;
        let most = match self.takes(",") {
            true if self.peek() == Some('}') => None,
            true => Some(self.number()?),
            false => Some(least),
        };
        let fits = most.is_none_or(|most| least <= most && most <= MAX_TIMES) && least <= MAX_TIMES;
        (fits && self.peek() == Some('}')).then_some((least, most))
    }

    fn number(&mut self) -> Option<u32> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        let digits: String = self.characters[start..self.at].iter().collect();
        digits.parse().ok()
    }

    /// A character as it stands, or with its other cases.
    fn character(&self, c: char) -> CharSet {
        if !self.folds {
            return CharSet::single(u32::from(c));
        }
        let cases = c.to_lowercase().chain(c.to_uppercase());
        let others = match c.to_ascii_lowercase() {
            's' => Some('\u{17F}'),
            'k' => Some('\u{212A}'),
            _ => None,
        };
        CharSet::from_ranges(cases.chain(others).map(|c| (u32::from(c), u32::from(c))))
    }

    fn escape(&mut self) -> Option<CharSet> {
        Some(match self.next()? {
            's' => property("White_Space")?,
            'S' => property("White_Space")?.complement(),
            'd' => property("Nd")?,
            'D' => property("Nd")?.complement(),
            'p' => self.property()?,
            'P' => self.property()?.complement(),
            'r' => CharSet::single(0x0D),
            'n' => CharSet::single(0x0A),
            't' => CharSet::single(0x09),
            'f' => CharSet::single(0x0C),
            'v' => CharSet::single(0x0B),
            c if c.is_ascii_punctuation() => self.character(c),
            _ => return None,
        })
    }

    fn property(&mut self) -> Option<CharSet> {
        if !self.takes("{") {
            let name = self.next()?;
            return property(name.encode_utf8(&mut [0; 4]));
        }
        let start = self.at;
        while self.next()? != '}' {}
        let name: String = self.characters[start..self.at - 1].iter().collect();
        match name.strip_prefix('^') {
            Some(name) => Some(property(name)?.complement()),
            None => property(&name),
        }
    }

    fn set(&mut self) -> Option<CharSet> {
        let is_negative = self.takes("^");
        let mut set = CharSet::empty();
        loop {
            let low = match self.next()? {
                ']' => break,
                '[' | '&' => return None, // a set within a set, an intersection
                '\\' => self.escape()?,
                c => self.character(c),
            };
            set = set.union(&self.range_from(low)?);
        }
        Some(if is_negative { set.complement() } else { set })
    }

    /// The set from one character to another, where a range is what follows.
    fn range_from(&mut self, low: CharSet) -> Option<CharSet> {
        let is_range =
            self.peek() == Some('-') && self.characters.get(self.at + 1).is_some_and(|c| *c != ']');
        if !is_range {
            return Some(low);
        }
        self.at += 1;
        let high = match self.next()? {
            '\\' => self.escape()?,
            c => CharSet::single(u32::from(c)),
        };
        match (low.ranges(), high.ranges()) {
            (&[(low, same)], &[(high, last)]) if low == same && high == last && low <= high => {
                Some(CharSet::from_ranges([(low, high)])).filter(|_| !self.folds)
            }
            _ => None,
        }
    }
}
