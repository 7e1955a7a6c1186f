//! Classes as the `regex` crate has them: nested, named as in POSIX, combined as sets.

use super::class::Member;
use super::{MAX_DEPTH, PatternError, Reader};
use crate::charset::CharSet;

type Combine = fn(&CharSet, &CharSet) -> CharSet;

/// What two ampersands, hyphens or tildes do to the sets beside them.
const OPERATORS: [(&str, Combine); 3] = [
    ("&&", CharSet::intersection),
    ("--", CharSet::difference),
    ("~~", |a, b| a.union(b).difference(&a.intersection(b))),
];

/// The names of `[:name:]`.
const NAMED: [(&str, &[(u32, u32)]); 14] = [
    ("alnum", &[(0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A)]),
    ("alpha", &[(0x41, 0x5A), (0x61, 0x7A)]),
    ("ascii", &[(0, 0x7F)]),
    ("blank", &[(0x09, 0x09), (0x20, 0x20)]),
    ("cntrl", &[(0, 0x1F), (0x7F, 0x7F)]),
    ("digit", &[(0x30, 0x39)]),
    ("graph", &[(0x21, 0x7E)]),
    ("lower", &[(0x61, 0x7A)]),
    ("print", &[(0x20, 0x7E)]),
    (
        "punct",
        &[(0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)],
    ),
    ("space", &[(0x09, 0x0D), (0x20, 0x20)]),
    ("upper", &[(0x41, 0x5A)]),
    (
        "word",
        &[(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)],
    ),
    ("xdigit", &[(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)]),
];

impl Reader<'_> {
    /// A class, behind its opening bracket. Neighbours unite before operators combine them, from
    /// left to right; a `]` in the first place stands for itself.
    pub(super) fn nested_class(&mut self) -> Result<CharSet, PatternError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.unsupported(format!("classes nest deeper than {MAX_DEPTH}")));
        }
        let negated = self.takes("^");
        let mut set = self.operand(true)?;
        while let Some(combine) = self.operator() {
            let other = self.operand(false)?;
            self.count_ranges(2 * (set.ranges().len() + other.ranges().len()))?;
            set = combine(&set, &other);
        }
        self.next();
        self.depth -= 1;
        Ok(if negated { set.complement() } else { set })
    }

    fn operator(&mut self) -> Option<Combine> {
        let found = OPERATORS.iter().find(|(spelling, _)| self.takes(spelling));
        found.map(|(_, combine)| *combine)
    }

    /// Neighbours up to an operator or the closing bracket.
    fn operand(&mut self, is_first: bool) -> Result<CharSet, PatternError> {
        let (mut ranges, mut sets) = (Vec::new(), CharSet::empty());
        if is_first && self.takes("]") {
            ranges.push((0x5D, 0x5D));
        }
        while !self.is_operand_over()? {
            match self.class_member()? {
                Member::Set(set) => sets = self.united(&sets, &set)?,
                Member::Point(low) => ranges.push((low, self.end_of_nested_range(low)?)),
            }
        }
        let set = self.folded(CharSet::from_ranges(ranges))?;
        self.united(&set, &sets)
    }

    fn is_operand_over(&mut self) -> Result<bool, PatternError> {
        let ahead = self.ahead();
        if ahead.is_empty() {
            return Err(self.malformed("a ']' is missing"));
        }
        let is_operator = OPERATORS
            .iter()
            .any(|(spelling, _)| ahead.starts_with(spelling));
        Ok(ahead.starts_with(']') || is_operator)
    }

    fn class_member(&mut self) -> Result<Member, PatternError> {
        match self.next() {
            Some('[') if self.takes(":") => self.named_class().map(Member::Set),
            Some('[') => self.nested_class().map(Member::Set),
            Some('\\') => self.escape(),
            Some(c) => Ok(Member::Point(u32::from(c))),
            None => Err(self.malformed("a ']' is missing")),
        }
    }

    /// `[:name:]` or `[:^name:]`, behind its colon.
    fn named_class(&mut self) -> Result<CharSet, PatternError> {
        let negated = self.takes("^");
        let ahead = self.ahead();
        let named = NAMED.iter().find(|(name, _)| {
            ahead
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(":]"))
        });
        let Some((name, ranges)) = named else {
            return Err(self.malformed("a class of an unknown name"));
        };
        self.skip(name.len() + 2);
        let set = self.folded(CharSet::from_ranges(ranges.iter().copied()))?;
        Ok(if negated { set.complement() } else { set })
    }

    /// The last code point of a range that begins with `low`; without a range, `low` itself.
    fn end_of_nested_range(&mut self, low: u32) -> Result<u32, PatternError> {
        let ahead = self.ahead();
        let is_range =
            ahead.starts_with('-') && !ahead.starts_with("--") && !ahead.starts_with("-]");
        if !is_range {
            return Ok(low);
        }
        self.next();
        match self.class_member()? {
            Member::Point(high) if low <= high => Ok(high),
            Member::Point(_) => Err(self.malformed("a range is out of order")),
            Member::Set(_) => Err(self.malformed("a range that ends with a class")),
        }
    }
}
