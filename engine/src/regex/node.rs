//! The nodes of the arena, and the facts that are known about a node as soon as it is made.

use std::sync::Arc;

use super::{RegexId, Regexes};
use crate::charset::CharSet;

/// No upper bound: as a repetition's count or as a length.
pub(super) const UNBOUNDED: u32 = u32::MAX;
/// How deep the computation of a derivative may recur.
pub(super) const MAX_DEPTH: u16 = 1_000;
/// How much deeper than its exit a rule may be.
pub(super) const RULE_DEPTH: u16 = 64;

/// One expression; children are ids of the same arena.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Node {
    Never,
    Empty,
    Set(CharSet),
    /// What follows `depth` bytes in the words `from..to` of a list, which share these bytes.
    Words {
        list: u32,
        from: u32,
        to: u32,
        depth: u32,
    },
    /// The first is no concatenation.
    Concat(RegexId, RegexId),
    Repeat {
        body: RegexId,
        low: u32,
        high: u32,
    },
    /// Sorted, at least two, none of them a union.
    Union(Arc<[RegexId]>),
    /// Sorted, at least two, none of them an intersection.
    Intersection(Arc<[RegexId]>),
    Complement(RegexId),
    /// Stands for its definition, which may contain the rule behind a code point.
    Rule(u32),
}

impl Node {
    /// How much the node owns besides itself.
    pub(super) fn weight(&self) -> usize {
        match self {
            Node::Set(set) => set.ranges().len(),
            Node::Union(children) | Node::Intersection(children) => children.len(),
            _ => 0,
        }
    }
}

/// A sorted list of distinct words with their lengths in code points.
pub(super) struct Words {
    pub(super) words: Box<[Box<str>]>,
    pub(super) lengths: Box<[u32]>,
}

/// What is known about the question whether a node has a member.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Emptiness {
    Unknown,
    Empty,
    Nonempty,
}

/// An interval of lengths; `high` may be [`UNBOUNDED`].
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Span {
    pub(super) low: u32,
    pub(super) high: u32,
}

impl Span {
    fn new(low: u32, high: u32) -> Option<Self> {
        (low <= high).then_some(Self { low, high })
    }

    fn meet(self, other: Self) -> Option<Self> {
        Self::new(self.low.max(other.low), self.high.min(other.high))
    }

    fn plus(self, other: Self) -> Self {
        Self {
            low: self.low.saturating_add(other.low),
            high: self.high.saturating_add(other.high),
        }
    }

    /// The hull if the spans leave no gap, else the wider one.
    fn join(self, other: Self) -> Self {
        let touching = self.low.max(other.low) <= self.high.min(other.high).saturating_add(1);
        if touching {
            Self {
                low: self.low.min(other.low),
                high: self.high.max(other.high),
            }
        } else if self.high - self.low >= other.high - other.low {
            self
        } else {
            other
        }
    }
}

/// What is known about a node without deriving it.
#[derive(Copy, Clone)]
pub(super) struct Facts {
    pub(super) nullable: bool,
    pub(super) emptiness: Emptiness,
    /// Every member is at least so long, and at most so long.
    pub(super) min: u32,
    pub(super) max: u32,
    /// Lengths each of which some member has.
    pub(super) realised: Option<Span>,
    /// Lengths of which every string is a member.
    pub(super) full: Option<Span>,
    /// How deep the computation of a derivative recurs; not behind what is surely read first.
    pub(super) depth: u16,
}

impl Facts {
    fn of_one_length(length: u32) -> Self {
        let realised = Some(Span {
            low: length,
            high: length,
        });
        Self {
            nullable: length == 0,
            emptiness: Emptiness::Nonempty,
            min: length,
            max: length,
            realised,
            full: realised.filter(|_| length == 0),
            depth: 1,
        }
    }

    /// Settles emptiness as far as the other facts allow.
    fn settled(mut self) -> Self {
        if self.nullable && self.realised.is_none() {
            self.realised = Some(Span { low: 0, high: 0 });
        }
        if self.emptiness == Emptiness::Unknown && self.realised.is_some() {
            self.emptiness = Emptiness::Nonempty;
        }
        self
    }
}

impl Regexes {
    pub(super) fn fact(&self, id: RegexId) -> &Facts {
        &self.facts[id.index()]
    }

    pub(super) fn facts_of(&self, node: &Node) -> Facts {
        match node {
            Node::Never => Facts {
                emptiness: Emptiness::Empty,
                realised: None,
                ..Facts::of_one_length(UNBOUNDED)
            },
            Node::Empty => Facts::of_one_length(0),
            Node::Set(set) => self.facts_of_set(set),
            &Node::Words {
                list,
                from,
                to,
                depth,
            } => self.facts_of_words(list, from, to, depth),
            &Node::Concat(head, tail) => self.facts_of_concat(head, tail),
            &Node::Repeat { body, low, high } => self.facts_of_repeat(body, low, high),
            Node::Union(children) => self.facts_of_union(children),
            Node::Intersection(children) => self.facts_of_intersection(children),
            &Node::Complement(child) => self.facts_of_complement(child),
            // A rule's facts are those of its exit: `recursive` sets them.
            Node::Rule(_) => Facts::of_one_length(0),
        }
        .settled()
    }

    fn facts_of_set(&self, set: &CharSet) -> Facts {
        let facts = Facts::of_one_length(1);
        Facts {
            full: facts.realised.filter(|_| *set == CharSet::all()),
            ..facts
        }
    }

    fn facts_of_words(&self, list: u32, from: u32, to: u32, depth: u32) -> Facts {
        let list = &self.words[list as usize];
        let before = list.words[from as usize][..depth as usize].chars().count() as u32;
        let lengths = list.lengths[from as usize..to as usize]
            .iter()
            .map(|length| length - before);
        let (min, max) = lengths.fold((UNBOUNDED, 0), |(min, max), n| (n.min(min), n.max(max)));
        Facts {
            max,
            ..Facts::of_one_length(min)
        }
    }

    fn facts_of_concat(&self, head: RegexId, tail: RegexId) -> Facts {
        let (a, b) = (self.fact(head), self.fact(tail));
        let nonempty = a.emptiness == Emptiness::Nonempty && b.emptiness == Emptiness::Nonempty;
        Facts {
            nullable: a.nullable && b.nullable,
            emptiness: if nonempty {
                Emptiness::Nonempty
            } else {
                Emptiness::Unknown
            },
            min: a.min.saturating_add(b.min),
            max: a.max.saturating_add(b.max),
            realised: a.realised.zip(b.realised).map(|(a, b)| a.plus(b)),
            full: a.full.zip(b.full).map(|(a, b)| a.plus(b)),
            depth: (a.depth + 1).max(if a.nullable { b.depth } else { 0 }),
        }
    }

    fn facts_of_repeat(&self, body: RegexId, low: u32, high: u32) -> Facts {
        let b = self.fact(body);
        let nullable = low == 0 || b.nullable;
        Facts {
            nullable,
            emptiness: if nullable {
                Emptiness::Nonempty
            } else {
                b.emptiness
            },
            min: b.min.saturating_mul(low),
            max: if b.max == 0 {
                0
            } else {
                b.max.saturating_mul(high)
            },
            realised: b.realised.map(|span| repeated(span, low, high)),
            full: Span::new(low, high).filter(|_| body == Self::ANY),
            depth: b.depth + 1,
        }
    }

    fn facts_of_union(&self, children: &[RegexId]) -> Facts {
        let facts = || children.iter().map(|&child| self.fact(child));
        let nonempty = facts().any(|f| f.emptiness == Emptiness::Nonempty);
        Facts {
            nullable: facts().any(|f| f.nullable),
            emptiness: if nonempty {
                Emptiness::Nonempty
            } else {
                Emptiness::Unknown
            },
            min: facts().map(|f| f.min).min().unwrap_or(0),
            max: facts().map(|f| f.max).max().unwrap_or(UNBOUNDED),
            realised: facts().filter_map(|f| f.realised).reduce(Span::join),
            full: facts().filter_map(|f| f.full).reduce(Span::join),
            depth: 1 + facts().map(|f| f.depth).max().unwrap_or(0),
        }
    }

    fn facts_of_intersection(&self, children: &[RegexId]) -> Facts {
        let facts = || children.iter().map(|&child| self.fact(child));
        let full_except = |skipped: RegexId| {
            let others = children
                .iter()
                .filter(|&&child| child != skipped)
                .map(|&child| self.fact(child).full);
            others.fold(Span::new(0, UNBOUNDED), |all, full| all?.meet(full?))
        };
        // All children but one contain every string of some lengths; the one has such a member.
        let realised = |one: &RegexId| full_except(*one)?.meet(self.fact(*one).realised?);
        Facts {
            nullable: facts().all(|f| f.nullable),
            emptiness: Emptiness::Unknown,
            min: facts().map(|f| f.min).max().unwrap_or(0),
            max: facts().map(|f| f.max).min().unwrap_or(UNBOUNDED),
            realised: self.partial_children(children).and_then(realised),
            full: facts().fold(Span::new(0, UNBOUNDED), |all, f| all?.meet(f.full?)),
            depth: 1 + facts().map(|f| f.depth).max().unwrap_or(0),
        }
    }

    /// The one child without full lengths, or any child when all have some; none when several lack.
    fn partial_children<'a>(&self, children: &'a [RegexId]) -> Option<&'a RegexId> {
        let mut lacking = children
            .iter()
            .filter(|&&child| self.fact(child).full.is_none());
        match (lacking.next(), lacking.next()) {
            (Some(one), None) => Some(one),
            (None, _) => children.first(),
            _ => None,
        }
    }

    fn facts_of_complement(&self, child: RegexId) -> Facts {
        let f = self.fact(child);
        let longer = Span::new(f.max.saturating_add(1), UNBOUNDED).filter(|_| f.max != UNBOUNDED);
        let shorter = f.min.checked_sub(1).and_then(|high| Span::new(0, high));
        let full = longer.or(shorter);
        let skipped = f.full.filter(|span| span.low == 0);
        Facts {
            nullable: !f.nullable,
            emptiness: Emptiness::Unknown,
            min: skipped.map_or(u32::from(f.nullable), |span| span.high.saturating_add(1)),
            max: UNBOUNDED,
            realised: full,
            full,
            depth: f.depth + 1,
        }
    }

    /// Gives a new rule the facts that hold for any rule with this exit.
    pub(super) fn set_facts_of_rule(&mut self, rule: RegexId, exit: RegexId, depth: u16) {
        let exit = *self.fact(exit);
        let emptiness = match exit.emptiness {
            Emptiness::Empty => Emptiness::Unknown,
            other => other,
        };
        let min = exit.min.min(1);
        self.facts[rule.index()] = Facts {
            min,
            max: UNBOUNDED,
            emptiness,
            depth,
            ..exit
        };
    }
}

/// Lengths that `low..=high` repetitions of bodies with the given lengths surely have.
fn repeated(body: Span, low: u32, high: u32) -> Span {
    let first = low.max(1);
    // From `count` repetitions on, the lengths of k and of k + 1 repetitions leave no gap.
    let gapless = match (body.high - body.low, body.low) {
        (_, 0 | 1) => Some(first),
        (0, _) => None,
        (width, shortest) => Some(first.max((shortest - 1).div_ceil(width))),
    };
    let count = gapless.filter(|&count| count <= high);
    let (least, most) = count.map_or((first, first), |count| (count, high));
    let span = Span {
        low: body.low.saturating_mul(least),
        high: body.high.saturating_mul(most),
    };
    if low == 0 {
        span.join(Span { low: 0, high: 0 })
    } else {
        span
    }
}
