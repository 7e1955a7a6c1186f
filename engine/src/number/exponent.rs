//! The exponents with which a finished mantissa is a member, and the walk through their digits.

/// Exponents have at most this many digits, leading zeros included.
const MAX_EXPONENT_DIGITS: u32 = 4;
/// The largest exponent that can be written.
pub(super) const MAX_EXPONENT: i32 = 10i32.pow(MAX_EXPONENT_DIGITS) - 1;

/// A set of integers: disjoint inclusive ranges in increasing order.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Integers(Vec<(i32, i32)>);

impl Integers {
    /// The union of ranges; an inverted range is empty.
    pub fn union(mut ranges: Vec<(i32, i32)>) -> Self {
        ranges.retain(|(low, high)| low <= high);
        ranges.sort_unstable();
        let mut merged: Vec<(i32, i32)> = Vec::new();
        for (low, high) in ranges {
            match merged.last_mut() {
                Some(last) if low <= last.1 + 1 => last.1 = last.1.max(high),
                _ => merged.push((low, high)),
            }
        }
        Self(merged)
    }

    /// The parts of a range that avoid some points.
    pub fn avoiding(range: (i32, i32), mut points: Vec<i32>) -> Vec<(i32, i32)> {
        points.sort_unstable();
        let (mut low, mut parts) = (range.0, Vec::new());
        for point in points {
            parts.push((low, range.1.min(point - 1)));
            low = low.max(point + 1);
        }
        parts.push((low, range.1));
        parts
    }

    fn contains(&self, value: i32) -> bool {
        self.0
            .iter()
            .any(|&(low, high)| (low..=high).contains(&value))
    }

    /// The members inside these ranges.
    fn within(&self, ranges: &[(i32, i32)]) -> Self {
        let cut = |&(a, b): &(i32, i32)| self.0.iter().map(move |r| (r.0.max(a), r.1.min(b)));
        Self::union(ranges.iter().flat_map(cut).collect())
    }

    fn negated(&self) -> Self {
        Self::union(self.0.iter().map(|&(low, high)| (-high, -low)).collect())
    }

    /// The smallest member of a range.
    fn first_in(&self, from: i32, to: i32) -> Option<i32> {
        self.within(&[(from, to)]).0.first().map(|range| range.0)
    }
}

/// A place in the text of an exponent, after the "e".
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Exponent {
    sign: Sign,
    written: u32,
    value: i32,
    /// What the exponent may still become; magnitudes once the sign is known.
    members: Integers,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Sign {
    Open,
    Known,
}

impl Exponent {
    /// The place after the "e"; `None` without members.
    pub fn begin(members: Integers) -> Option<Self> {
        let members = members.within(&[(-MAX_EXPONENT, MAX_EXPONENT)]);
        let nonempty = !members.0.is_empty();
        nonempty.then_some(Self {
            sign: Sign::Open,
            written: 0,
            value: 0,
            members,
        })
    }

    /// The place after one more byte; `None` if no member continues so.
    pub fn step(&self, byte: u8) -> Option<Self> {
        match (byte, self.sign) {
            (b'+', Sign::Open) => self.signed(self.members.clone()).reachable(),
            (b'-', Sign::Open) => self.signed(self.members.negated()).reachable(),
            (b'0'..=b'9', Sign::Open) => self.signed(self.members.clone()).step(byte),
            (b'0'..=b'9', Sign::Known) if self.written < MAX_EXPONENT_DIGITS => {
                let value = self.value * 10 + i32::from(byte - b'0');
                Self {
                    written: self.written + 1,
                    value,
                    ..self.clone()
                }
                .reachable()
            }
            _ => None,
        }
    }

    fn signed(&self, members: Integers) -> Self {
        Self {
            sign: Sign::Known,
            members,
            ..self.clone()
        }
    }

    /// Without the members that the digits left cannot reach.
    fn reachable(self) -> Option<Self> {
        let ranges: Vec<_> = self.reaches().collect();
        let members = self.members.within(&ranges);
        (!members.0.is_empty()).then_some(Self { members, ..self })
    }

    /// For each number of further digits, the values they reach.
    fn reaches(&self) -> impl Iterator<Item = (i32, i32)> {
        let fewest = u32::from(self.written == 0);
        (fewest..=MAX_EXPONENT_DIGITS - self.written).map(|digits| {
            let power = 10i32.pow(digits);
            (self.value * power, self.value * power + power - 1)
        })
    }

    /// Whether the exponent may end here.
    pub fn is_accepting(&self) -> bool {
        self.written > 0 && self.members.contains(self.value)
    }

    /// The fewest bytes that end it.
    pub fn shortest(&self) -> Vec<u8> {
        if self.sign == Sign::Open {
            let positive = self
                .signed(self.members.clone())
                .reachable()
                .map(|e| e.shortest());
            let negative = self.signed(self.members.negated()).reachable();
            let negative = negative.map(|e| [b"-", &e.shortest()[..]].concat());
            let both = positive.into_iter().chain(negative);
            return both.min_by_key(Vec::len).unwrap_or_default();
        }
        let fewest = usize::from(self.written == 0);
        let ended = |(more, (low, high)): (usize, (i32, i32))| {
            let tail = self.members.first_in(low, high)? - low;
            let digits = more + fewest;
            Some(if digits == 0 {
                Vec::new()
            } else {
                format!("{tail:0digits$}").into_bytes()
            })
        };
        self.reaches()
            .enumerate()
            .find_map(ended)
            .unwrap_or_default()
    }
}
