//! Sets of Unicode scalar values, the alphabet of every string language in the engine.
//!
//! A set is a sorted list of inclusive ranges that neither touch nor overlap. Surrogates
//! (U+D800 to U+DFFF) are no scalar values and never belong to a set, so the complement of a set is
//! taken within the scalar values.

use std::sync::{Arc, LazyLock};

/// The largest code point.
pub const MAX_CODE_POINT: u32 = 0x10_FFFF;
const FIRST_SURROGATE: u32 = 0xD800;
const LAST_SURROGATE: u32 = 0xDFFF;

/// A set of Unicode scalar values; equal sets are equal values, and cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CharSet {
    ranges: Arc<[(u32, u32)]>,
}

impl CharSet {
    /// The union of inclusive ranges given in any order; what is no scalar value is left out.
    pub fn from_ranges(ranges: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut sorted: Vec<(u32, u32)> = ranges.into_iter().flat_map(without_surrogates).collect();
        sorted.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(sorted.len());
        for (low, high) in sorted {
            match merged.last_mut() {
                Some(last) if low <= last.1 + 1 => last.1 = last.1.max(high),
                _ => merged.push((low, high)),
            }
        }
        Self {
            ranges: merged.into(),
        }
    }

    /// The set of one code point; empty for a surrogate.
    pub fn single(code_point: u32) -> Self {
        match without_surrogates((code_point, code_point)).next() {
            Some(range) => Self {
                ranges: Arc::new([range]),
            },
            None => Self::empty(),
        }
    }

    /// The empty set.
    pub fn empty() -> Self {
        Self::from_ranges([])
    }

    /// Every scalar value.
    pub fn all() -> Self {
        static ALL: LazyLock<CharSet> =
            LazyLock::new(|| CharSet::from_ranges([(0, MAX_CODE_POINT)]));
        ALL.clone()
    }

    /// The members of either set.
    pub fn union(&self, other: &Self) -> Self {
        Self::from_ranges(self.ranges.iter().chain(other.ranges.iter()).copied())
    }

    /// The members of both sets.
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut left, mut right) = (
            self.ranges.iter().peekable(),
            other.ranges.iter().peekable(),
        );
        let mut common = Vec::new();
        while let (Some(&&(a, b)), Some(&&(c, d))) = (left.peek(), right.peek()) {
            if a.max(c) <= b.min(d) {
                common.push((a.max(c), b.min(d)));
            }
            if b < d {
                left.next()
            } else {
                right.next()
            };
        }
        Self {
            ranges: common.into(),
        }
    }

    /// The scalar values outside the set.
    pub fn complement(&self) -> Self {
        let mut gaps = Vec::with_capacity(self.ranges.len() + 1);
        let mut next = 0;
        for &(low, high) in self.ranges.iter() {
            if next < low {
                gaps.push((next, low - 1));
            }
            next = high + 1;
        }
        gaps.push((next, MAX_CODE_POINT));
        Self::from_ranges(gaps)
    }

    /// The members of this set that the other lacks.
    pub fn difference(&self, other: &Self) -> Self {
        self.intersection(&other.complement())
    }

    /// Whether the code point is a member.
    pub fn contains(&self, code_point: u32) -> bool {
        let after = self.ranges.partition_point(|&(low, _)| low <= code_point);
        after > 0 && code_point <= self.ranges[after - 1].1
    }

    /// Whether a code point of an inclusive range is a member.
    pub fn meets(&self, (low, high): (u32, u32)) -> bool {
        let first = self.ranges.partition_point(|&(_, last)| last < low);
        low <= high && self.ranges.get(first).is_some_and(|range| range.0 <= high)
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The sorted, disjoint, inclusive ranges.
    pub fn ranges(&self) -> &[(u32, u32)] {
        &self.ranges
    }

    /// The only member, of a set of one.
    pub fn only(&self) -> Option<char> {
        match self.ranges[..] {
            [(low, high)] if low == high => char::from_u32(low),
            _ => None,
        }
    }

    /// The smallest member.
    pub fn first(&self) -> Option<u32> {
        self.ranges.first().map(|&(low, _)| low)
    }
}

/// The parts of a range below and above the surrogates, empty parts left out.
fn without_surrogates((low, high): (u32, u32)) -> impl Iterator<Item = (u32, u32)> {
    let below = (low, high.min(FIRST_SURROGATE - 1));
    let above = (low.max(LAST_SURROGATE + 1), high.min(MAX_CODE_POINT));
    [below, above].into_iter().filter(|(low, high)| low <= high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_sorted_and_merged() {
        let set = CharSet::from_ranges([(20, 30), (0, 5), (6, 9), (25, 40), (50, 45)]);
        assert_eq!(set.ranges(), [(0, 9), (20, 40)]);
    }

    #[test]
    fn surrogates_never_belong_to_a_set() {
        assert_eq!(
            CharSet::all().ranges(),
            [(0, 0xD7FF), (0xE000, MAX_CODE_POINT)]
        );
        assert!(CharSet::single(0xD800).is_empty());
        assert!(CharSet::all().complement().is_empty());
        assert_eq!(CharSet::empty().complement(), CharSet::all());
    }

    #[test]
    fn boolean_operations_agree_with_membership() {
        let left = CharSet::from_ranges([(10, 20), (30, 40), (60, 60)]);
        let right = CharSet::from_ranges([(15, 35), (40, 50)]);
        for c in 0..80 {
            let (l, r) = (left.contains(c), right.contains(c));
            assert_eq!(left.union(&right).contains(c), l || r);
            assert_eq!(left.intersection(&right).contains(c), l && r);
            assert_eq!(left.difference(&right).contains(c), l && !r);
            assert_eq!(left.complement().contains(c), !l);
        }
        assert_eq!(left.complement().complement(), left);
    }

    #[test]
    fn a_set_meets_a_range_of_which_it_has_a_member() {
        let set = CharSet::from_ranges([(10, 20), (30, 30)]);
        for (low, high) in (0..40).flat_map(|low| (0..40).map(move |high| (low, high))) {
            let met = !set
                .intersection(&CharSet::from_ranges([(low, high)]))
                .is_empty();
            assert_eq!(set.meets((low, high)), met, "{low}-{high}");
        }
    }

    #[test]
    fn the_first_member_is_the_smallest() {
        assert_eq!(CharSet::from_ranges([(9, 9), (3, 4)]).first(), Some(3));
        assert_eq!(CharSet::empty().first(), None);
    }
}
