//! Which characters may stand side by side in one piece: between all others every text is split,
//! whatever else there is in it.
//!
//! The places of a pattern and what may follow each are those of its position automaton (Glushkov,
//! "The abstract theory of automata", 1961), lookahead left out.

use super::pattern::Part;
use crate::charset::CharSet;

/// Pairs of places that a pattern may have.
const MAX_PAIRS: usize = 4_096;

/// The pairs of characters that a piece may hold side by side.
#[derive(Debug)]
pub(super) struct Neighbours {
    /// By the first character, the second ones; ASCII only.
    ascii: Vec<u128>,
    sets: Vec<CharSet>,
    pairs: Vec<(usize, usize)>,
}

/// The places that a part can begin and end with.
#[derive(Default)]
struct Span {
    first: Vec<usize>,
    last: Vec<usize>,
    may_be_empty: bool,
}

impl Neighbours {
    /// Those of a pattern; None where it is too large, or leaves characters out.
    pub fn new(part: &Part) -> Option<Neighbours> {
        let mut neighbours = Neighbours {
            ascii: vec![0; 0x80],
            sets: Vec::new(),
            pairs: Vec::new(),
        };
        let whole = neighbours.add(part);
        let alone = whole
            .first
            .iter()
            .filter(|place| whole.last.contains(place));
        let matched = alone.fold(CharSet::empty(), |all, place| {
            all.union(&neighbours.sets[*place])
        });
        let is_complete = matched.complement().is_empty();
        neighbours.pairs.sort_unstable();
        neighbours.pairs.dedup();
        neighbours.note_ascii();
        (is_complete && neighbours.pairs.len() <= MAX_PAIRS).then_some(neighbours)
    }

    fn add(&mut self, part: &Part) -> Span {
        match part {
            Part::Class(set) => {
                self.sets.push(set.clone());
                let place = self.sets.len() - 1;
                Span {
                    first: vec![place],
                    last: vec![place],
                    may_be_empty: false,
                }
            }
            Part::Sequence(parts) => self.add_sequence(parts.iter()),
            Part::Choice(parts) => {
                let mut whole = Span::default();
                for part in parts {
                    let span = self.add(part);
                    whole.first.extend(span.first);
                    whole.last.extend(span.last);
                    whole.may_be_empty |= span.may_be_empty;
                }
                whole
            }
            Part::Repeat(repeat) => {
                let mut span = self.add(&repeat.part);
                if repeat.most != Some(1) {
                    self.join(&span.last, &span.first);
                }
                span.may_be_empty |= repeat.least == 0;
                span
            }
            Part::Look { .. } | Part::End => Span {
                may_be_empty: true,
                ..Span::default()
            },
        }
    }

    fn add_sequence<'a>(&mut self, parts: impl Iterator<Item = &'a Part>) -> Span {
        let mut whole = Span {
            may_be_empty: true,
            ..Span::default()
        };
        for part in parts {
            let span = self.add(part);
            self.join(&whole.last, &span.first);
            if whole.may_be_empty {
                whole.first.extend(&span.first);
            }
            if !span.may_be_empty {
                whole.last.clear();
            }
            whole.last.extend(span.last);
            whole.may_be_empty &= span.may_be_empty;
        }
        whole
    }

    fn join(&mut self, last: &[usize], first: &[usize]) {
        if self.pairs.len() > MAX_PAIRS {
            return;
        }
        for one in last {
            self.pairs.extend(first.iter().map(|other| (*one, *other)));
        }
    }

    fn note_ascii(&mut self) {
        let bits = |set: &CharSet| {
            let ascii = (0..0x80).filter(|c| set.contains(*c));
            ascii.fold(0u128, |bits, c| bits | 1 << c)
        };
        let bits: Vec<u128> = self.sets.iter().map(bits).collect();
        for (one, other) in &self.pairs {
            for c in 0..0x80 {
                if bits[*one] >> c & 1 == 1 {
                    self.ascii[c] |= bits[*other];
                }
            }
        }
    }

    /// Whether a piece may hold two characters side by side.
    pub fn may_join(&self, one: u32, other: u32) -> bool {
        if one < 0x80 && other < 0x80 {
            return self.ascii[one as usize] >> other & 1 == 1;
        }
        let joins =
            |(a, b): &(usize, usize)| self.sets[*a].contains(one) && self.sets[*b].contains(other);
        self.pairs.iter().any(joins)
    }
}
