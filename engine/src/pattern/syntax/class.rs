//! Escapes and character classes.

use super::{Dialect, Part, PatternError, Reader};
use crate::charset::CharSet;
use crate::unicode;

const DIGITS: [(u32, u32); 1] = [(0x30, 0x39)];
const WORD: [(u32, u32); 4] = [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)];
/// ECMA-262's WhiteSpace and LineTerminator.
const SPACE: [(u32, u32); 10] = [
    (0x09, 0x0D),
    (0x20, 0x20),
    (0xA0, 0xA0),
    (0x1680, 0x1680),
    (0x2000, 0x200A),
    (0x2028, 0x2029),
    (0x202F, 0x202F),
    (0x205F, 0x205F),
    (0x3000, 0x3000),
    (0xFEFF, 0xFEFF),
];

/// The set of an escape such as `\w`, by its letter; `p` stands for none.
fn named_set(letter: char, dialect: Dialect) -> Option<CharSet> {
    let unicode = |names: &[&str]| unicode::union(names);
    Some(match (letter, dialect == Dialect::Schema) {
        ('d', true) => CharSet::from_ranges(DIGITS),
        ('w', true) => CharSet::from_ranges(WORD),
        ('s', true) => CharSet::from_ranges(SPACE),
        ('d', false) => unicode(&["Nd"]),
        ('w', false) => unicode(&["Alphabetic", "M", "Nd", "Pc", "Join_Control"]),
        ('s', false) => unicode(&["White_Space"]),
        _ => return None,
    })
}

/// The characters of `\w`.
pub(super) fn word_characters(dialect: Dialect) -> CharSet {
    named_set('w', dialect).unwrap_or_else(CharSet::empty)
}

/// One member of a class: a code point, which may begin a range, or a set, which may not.
pub(super) enum Member {
    Point(u32),
    Set(CharSet),
}

impl Reader<'_> {
    /// What a backslash outside a class begins.
    pub(super) fn escaped(&mut self) -> Result<Part, PatternError> {
        let part = match self.peek() {
            Some('<' | '>') if self.dialect != Dialect::Schema => {
                return Err(self.unsupported("the border of a word"));
            }
            Some('b' | 'B') if self.is_named_border() => {
                return Err(self.unsupported("the border of a word"));
            }
            Some(letter @ ('b' | 'B')) => Part::WordBoundary {
                word: word_characters(self.dialect),
                negated: letter == 'B',
            },
            Some('A') => Part::Start,
            Some('Z' | 'z') => Part::End,
            Some('k' | '1'..='9') => return Err(self.unsupported("a backreference")),
            _ => {
                return Ok(Part::Set(match self.escape()? {
                    Member::Point(point) => self.folded(CharSet::single(point))?,
                    Member::Set(set) => set,
                }));
            }
        };
        self.next();
        Ok(part)
    }

    /// Whether `\b{start}` or its like comes next, behind its backslash.
    fn is_named_border(&mut self) -> bool {
        let behind = self.ahead().chars().nth(1);
        self.dialect != Dialect::Schema && behind == Some('{')
    }

    /// A class, behind its opening bracket.
    pub(super) fn class(&mut self) -> Result<CharSet, PatternError> {
        let negated = self.takes("^");
        let mut ranges = Vec::new();
        let mut sets = CharSet::empty();
        while !self.takes("]") {
            match self.member()? {
                Member::Set(set) => sets = self.united(&sets, &set)?,
                Member::Point(low) => ranges.push((low, self.end_of_range(low)?)),
            }
        }
        let set = self.folded(CharSet::from_ranges(ranges))?;
        let set = self.united(&set, &sets)?;
        Ok(if negated { set.complement() } else { set })
    }

    /// The union of two sets.
    pub(super) fn united(
        &mut self,
        one: &CharSet,
        other: &CharSet,
    ) -> Result<CharSet, PatternError> {
        self.count_ranges(one.ranges().len() + other.ranges().len())?;
        Ok(one.union(other))
    }

    /// The last code point of a range that begins with `low`; without a range, `low` itself.
    fn end_of_range(&mut self, low: u32) -> Result<u32, PatternError> {
        let before = self.rest.clone();
        if !self.takes("-") || self.peek() == Some(']') {
            self.rest = before;
            return Ok(low);
        }
        match self.member()? {
            Member::Point(high) if low <= high => Ok(high),
            Member::Point(_) => Err(self.malformed("a range is out of order")),
            // Annex B: the hyphen of `[a-\d]` stands for itself.
            Member::Set(_) => {
                self.rest = before;
                Ok(low)
            }
        }
    }

    fn member(&mut self) -> Result<Member, PatternError> {
        match self.next() {
            None => Err(self.malformed("a ']' is missing")),
            Some('\\') if self.takes("b") => Ok(Member::Point(0x08)),
            Some('\\') => self.escape(),
            Some(c) => Ok(Member::Point(u32::from(c))),
        }
    }

    /// An escape that stands for one code point or for a set of them.
    pub(super) fn escape(&mut self) -> Result<Member, PatternError> {
        let Some(c) = self.peek() else {
            return Err(self.malformed("a '\\' ends the pattern"));
        };
        let set = match c.to_ascii_lowercase() {
            'p' => self.property()?,
            letter => match named_set(letter, self.dialect) {
                Some(set) => set,
                None => return self.character_escape().map(Member::Point),
            },
        };
        if !c.eq_ignore_ascii_case(&'p') {
            self.next();
        }
        self.count_ranges(set.ranges().len())?;
        Ok(Member::Set(if c.is_ascii_uppercase() {
            set.complement()
        } else {
            set
        }))
    }

    fn property(&mut self) -> Result<CharSet, PatternError> {
        self.next();
        if let (Some(letter), true) = (self.peek(), self.dialect != Dialect::Schema)
            && letter.is_ascii_alphabetic()
        {
            let Some(set) = unicode::property(letter.encode_utf8(&mut [0; 4])) else {
                return Err(self.unsupported(format!("the property {letter:?}")));
            };
            self.next();
            return Ok(set);
        }
        let inside = self
            .ahead()
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('}'));
        let Some(name) = inside.map(|(name, _)| name.to_owned()) else {
            return Err(self.malformed("a property's name is missing"));
        };
        let negated = name.starts_with('^') && self.dialect != Dialect::Schema;
        let Some(set) = unicode::property(name.strip_prefix('^').unwrap_or(&name)) else {
            return Err(self.unsupported(format!("the property {name:?}")));
        };
        self.skip(name.chars().count() + 2);
        Ok(if negated { set.complement() } else { set })
    }

    fn character_escape(&mut self) -> Result<u32, PatternError> {
        let next_is_digit = self
            .ahead()
            .chars()
            .nth(1)
            .is_some_and(|c| c.is_ascii_digit());
        let point = match self.peek() {
            Some('a') if self.dialect != Dialect::Schema => 0x07,
            Some('t') => 0x09,
            Some('n') => 0x0A,
            Some('v') => 0x0B,
            Some('f') => 0x0C,
            Some('r') => 0x0D,
            Some('0') if !next_is_digit => 0,
            Some('0'..='9') => return Err(self.unsupported("an octal escape")),
            Some('c') => return self.control(),
            Some('x' | 'U') if self.is_braced() => return self.braced(),
            Some('U') if self.dialect != Dialect::Schema => return self.hexadecimal(8),
            Some('x') => return self.hexadecimal(2),
            Some('u') => return self.unicode_escape(),
            Some(c) if c.is_ascii_alphabetic() => {
                return Err(self.unsupported(format!("the escape '\\{c}'")));
            }
            Some(c) => u32::from(c),
            None => return Err(self.malformed("a '\\' ends the pattern")),
        };
        self.next();
        Ok(point)
    }

    /// Whether a code point in braces comes next, behind its letter.
    fn is_braced(&mut self) -> bool {
        self.dialect != Dialect::Schema && self.ahead().chars().nth(1) == Some('{')
    }

    fn control(&mut self) -> Result<u32, PatternError> {
        match self.ahead().chars().nth(1) {
            Some(letter) if letter.is_ascii_alphabetic() => {
                self.skip(2);
                Ok(u32::from(letter) % 32)
            }
            _ => Err(self.malformed("a control escape needs a letter")),
        }
    }

    /// The number in the given count of digits behind the next character.
    fn hexadecimal(&mut self, digits: usize) -> Result<u32, PatternError> {
        let digits = self.ahead().get(1..=digits).unwrap_or("").to_owned();
        let valid = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u32::from_str_radix(&digits, 16) {
            Ok(number) if valid => {
                self.skip(digits.len() + 1);
                Ok(number)
            }
            _ => Err(self.malformed("hexadecimal digits are missing")),
        }
    }

    /// `uHHHH`, a pair of them for one code point, or `u{H...}`.
    fn unicode_escape(&mut self) -> Result<u32, PatternError> {
        if self.ahead().starts_with("u{") {
            return self.braced();
        }
        let high = self.hexadecimal(4)?;
        let before = self.rest.clone();
        if (0xD800..0xDC00).contains(&high) && self.takes("\\") && self.peek() == Some('u') {
            let low = self.hexadecimal(4).unwrap_or(0);
            if (0xDC00..0xE000).contains(&low) {
                return Ok(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00));
            }
        }
        if (0xD800..0xDC00).contains(&high) {
            self.rest = before;
        }
        Ok(high)
    }

    fn braced(&mut self) -> Result<u32, PatternError> {
        let digits: String = self
            .ahead()
            .chars()
            .skip(2)
            .take_while(|&c| c != '}')
            .collect();
        let valid = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u32::from_str_radix(&digits, 16)
            .ok()
            .filter(|&number| valid && number <= 0x10_FFFF);
        let Some(number) = number else {
            return Err(self.malformed("no code point in braces"));
        };
        self.skip(digits.len() + 2);
        if self.takes("}") {
            Ok(number)
        } else {
            Err(self.malformed("a '}' is missing"))
        }
    }
}
