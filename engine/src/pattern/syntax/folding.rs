//! Letters that differ in case only, for `(?i)`.

use std::sync::LazyLock;

use crate::charset::CharSet;

/// Letters with more than one case, each with what it is folded to, in the order of the latter.
static FOLDED: LazyLock<Vec<(u32, u32)>> = LazyLock::new(|| {
    let cased =
        ('\0'..='\u{1E943}').filter(|&c| fold(c) != c || single(c.to_uppercase()) != Some(c));
    let mut pairs: Vec<(u32, u32)> = cased.map(|c| (u32::from(fold(c)), u32::from(c))).collect();
    pairs.sort_unstable();
    pairs
});

/// How much looking for the other cases of a set takes, in ranges of a set.
pub(super) fn work(set: &CharSet) -> usize {
    if set.only().is_some() {
        1
    } else {
        FOLDED.len() / 8
    }
}

/// The set with every letter that differs from a member in case only.
pub(super) fn close(set: &CharSet) -> CharSet {
    let mut more = Vec::new();
    let pairs = match set.only() {
        Some(letter) => {
            let folded = u32::from(fold(letter));
            let from = FOLDED.partition_point(|pair| pair.0 < folded);
            let to = FOLDED.partition_point(|pair| pair.0 <= folded);
            &FOLDED[from..to]
        }
        None => &FOLDED[..],
    };
    for group in pairs.chunk_by(|a, b| a.0 == b.0) {
        if group.iter().any(|&(_, member)| set.contains(member)) {
            more.extend(group.iter().map(|&(_, member)| (member, member)));
        }
    }
    set.union(&CharSet::from_ranges(more))
}

/// Simple case folding, by way of upper case.
fn fold(c: char) -> char {
    match c {
        // Lower case of its own: its upper case is that of `i`.
        'ı' => c,
        _ => {
            let upper = single(c.to_uppercase()).unwrap_or(c);
            single(upper.to_lowercase()).unwrap_or(upper)
        }
    }
}

fn single(mut mapped: impl Iterator<Item = char>) -> Option<char> {
    let first = mapped.next();
    first.filter(|_| mapped.next().is_none())
}
