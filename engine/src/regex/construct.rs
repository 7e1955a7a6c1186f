//! The constructors. They simplify, so that the derivatives of an expression stay few and that
//! `NEVER` and `ALWAYS` are recognised as such.

use std::collections::HashSet;
use std::sync::Arc;

use super::hashing::FastHash;
use super::node::{Emptiness, Node, RULE_DEPTH, UNBOUNDED, Words};
use super::{RegexId, Regexes};
use crate::charset::CharSet;

/// How many code points deep a union shares the prefixes of its alternatives.
const SHARED_PREFIX: u32 = 24;
/// How often a union is simplified again after it changed.
const MERGE_ROUNDS: u32 = 8;

/// Small steps that a part of a union takes each time that it is simplified.
const UNION_STEPS: usize = 3;
/// The same for a part of an intersection, a range of a set in a union of sets, a word of a list.
const INTERSECTION_STEPS: usize = 2;
const RANGE_STEPS: usize = 2;
const WORD_STEPS: usize = 8;
/// Bytes of a list of words that a small step copies and compares.
const BYTES_OF_A_STEP: usize = 16;

impl Regexes {
    /// Any one code point of the set.
    pub fn set(&mut self, set: CharSet) -> RegexId {
        if set.is_empty() {
            Self::NEVER
        } else {
            self.spend_steps(set.ranges().len());
            self.intern(Node::Set(set))
        }
    }

    /// Exactly this string.
    pub fn literal(&mut self, text: &str) -> RegexId {
        text.chars().rev().fold(Self::EMPTY, |rest, c| {
            let head = self.set(CharSet::single(u32::from(c)));
            self.concat_one(head, rest)
        })
    }

    /// Any of these strings; states are made when they are reached, so that long lists are cheap.
    pub fn literals(&mut self, texts: &[&str]) -> RegexId {
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        if !self.spend_steps(WORD_STEPS * texts.len() + bytes / BYTES_OF_A_STEP) {
            return Self::NEVER;
        }
        let mut words: Vec<Box<str>> = texts.iter().map(|&text| text.into()).collect();
        words.sort_unstable();
        words.dedup();
        let count = words.len() as u32;
        let lengths = words
            .iter()
            .map(|word| word.chars().count() as u32)
            .collect();
        self.charge(words.len() / 8);
        self.words.push(Arc::new(Words {
            words: words.into(),
            lengths,
        }));
        self.words_between(self.words.len() as u32 - 1, (0, count), 0)
    }

    /// What follows the first `depth` bytes in a range of a word list.
    pub(super) fn words_between(
        &mut self,
        list: u32,
        (from, to): (u32, u32),
        depth: u32,
    ) -> RegexId {
        match to - from {
            0 => Self::NEVER,
            1 => {
                let list = self.words[list as usize].clone();
                self.literal(&list.words[from as usize][depth as usize..])
            }
            _ => self.intern(Node::Words {
                list,
                from,
                to,
                depth,
            }),
        }
    }

    /// A member of the first, then a member of the second.
    pub fn concat(&mut self, first: RegexId, second: RegexId) -> RegexId {
        if !matches!(self.nodes[first.index()], Node::Concat(..)) {
            return self.concat_one(first, second);
        }
        let mut heads = Vec::new();
        let mut rest = first;
        while let Node::Concat(head, tail) = self.nodes[rest.index()] {
            heads.push(head);
            rest = tail;
        }
        heads.push(rest);
        heads
            .into_iter()
            .rev()
            .fold(second, |tail, head| self.concat_one(head, tail))
    }

    /// A member of each part, one after the other.
    pub fn concat_all(&mut self, parts: &[RegexId]) -> RegexId {
        let parts = parts.iter().rev();
        parts.fold(Self::EMPTY, |rest, &part| self.concat(part, rest))
    }

    /// The concatenation with a head that is no concatenation itself.
    fn concat_one(&mut self, head: RegexId, tail: RegexId) -> RegexId {
        let (mut head, mut tail) = (head, tail);
        loop {
            match (head, tail) {
                _ if self.is_known_empty(head) || self.is_known_empty(tail) => return Self::NEVER,
                (Self::EMPTY, only) | (only, Self::EMPTY) => return only,
                _ => {}
            }
            let (next, rest) = self.split(tail);
            if let Some(merged) = self.merge_repeats(head, next) {
                (head, tail) = (merged, rest);
            } else if self.is_swallowed(head, next, rest) {
                tail = rest;
            } else {
                return self.intern(Node::Concat(head, tail));
            }
        }
    }

    /// Head and tail of a concatenation; anything else has an empty tail.
    fn split(&self, id: RegexId) -> (RegexId, RegexId) {
        match self.nodes[id.index()] {
            Node::Concat(head, tail) => (head, tail),
            _ => (id, Self::EMPTY),
        }
    }

    /// An intersection of a length and something else: that, and the bounds on the length.
    pub fn split_length(&mut self, id: RegexId) -> Option<(RegexId, u32, Option<u32>)> {
        let Node::Intersection(parts) = &self.nodes[id.index()] else {
            return None;
        };
        let parts = Arc::clone(parts);
        let length = *parts
            .iter()
            .find(|part| self.counts(**part).0 == Self::ANY)?;
        let rest = parts
            .iter()
            .copied()
            .filter(|part| *part != length)
            .collect();
        let ((_, low, high), rest) = (self.counts(length), self.intersection_all(rest));
        Some((rest, low, (high != UNBOUNDED).then_some(high)))
    }

    /// Body and counts of a repetition; anything else is repeated once.
    fn counts(&self, id: RegexId) -> (RegexId, u32, u32) {
        match self.nodes[id.index()] {
            Node::Repeat { body, low, high } => (body, low, high),
            _ => (id, 1, 1),
        }
    }

    /// One repetition for two neighbours with the same body; a doubled letter stays as it is.
    fn merge_repeats(&mut self, first: RegexId, second: RegexId) -> Option<RegexId> {
        let ((body, a, b), (other, c, d)) = (self.counts(first), self.counts(second));
        let repeated = first != body || second != other || body == Self::ANY;
        (body == other && repeated)
            .then(|| self.repeat_counted(body, a.saturating_add(c), b.saturating_add(d)))
    }

    /// Whether `next` adds nothing between "so many code points" and "any number of code points".
    fn is_swallowed(&self, head: RegexId, next: RegexId, rest: RegexId) -> bool {
        let open = |id| matches!(self.counts(id), (Self::ANY, _, UNBOUNDED));
        self.is_nullable(next) && open(head) && open(self.split(rest).0)
    }

    /// From `low` to `high` members of the body in a row; `None`: any number.
    pub fn repeat(&mut self, body: RegexId, low: u32, high: Option<u32>) -> RegexId {
        self.repeat_counted(body, low, high.unwrap_or(UNBOUNDED))
    }

    /// Any string of `low` to `high` code points.
    pub fn length(&mut self, low: u32, high: Option<u32>) -> RegexId {
        self.repeat(Self::ANY, low, high)
    }

    pub(super) fn repeat_counted(&mut self, body: RegexId, low: u32, high: u32) -> RegexId {
        let hopeless = self.is_known_empty(body);
        if low > high || (hopeless && low > 0) {
            return Self::NEVER;
        }
        if hopeless || high == 0 || body == Self::EMPTY {
            return Self::EMPTY;
        }
        let low = if self.is_nullable(body) { 0 } else { low };
        if high == 1 && (low == 1 || self.is_nullable(body)) {
            return body;
        }
        match self.nodes[body.index()].clone() {
            Node::Repeat {
                body: inner,
                low: a,
                high: b,
            } if is_gapless((a, b), (low, high)) => {
                self.repeat_counted(inner, a.saturating_mul(low), b.saturating_mul(high))
            }
            Node::Union(children) if children.contains(&Self::EMPTY) => {
                let others = children
                    .iter()
                    .copied()
                    .filter(|&child| child != Self::EMPTY);
                let body = self.union_all(others.collect());
                self.repeat_counted(body, 0, high)
            }
            _ => self.intern(Node::Repeat { body, low, high }),
        }
    }

    /// The members of either.
    pub fn union(&mut self, first: RegexId, second: RegexId) -> RegexId {
        self.union_all(vec![first, second])
    }

    /// The members of any of the parts.
    pub fn union_all(&mut self, parts: Vec<RegexId>) -> RegexId {
        self.union_sharing(parts, SHARED_PREFIX)
    }

    fn union_sharing(&mut self, parts: Vec<RegexId>, levels: u32) -> RegexId {
        if !self.spend_steps(UNION_STEPS * parts.len()) {
            return Self::NEVER;
        }
        let mut parts = self.alternatives(parts);
        for _ in 0..MERGE_ROUNDS {
            self.spend_steps(UNION_STEPS * parts.len());
            if parts.contains(&Self::ALWAYS) || self.has_opposites(&parts) {
                return Self::ALWAYS;
            }
            if parts.len() < 2 {
                break;
            }
            let mut merged = self.merge_sets(parts.clone());
            merged = self.merge_counts(merged);
            merged = self.share_heads(merged, levels);
            self.drop_subsumed(&mut merged);
            merged = self.alternatives(merged);
            if merged == parts {
                break;
            }
            parts = merged;
        }
        match parts[..] {
            [] => Self::NEVER,
            [only] => only,
            [Self::EMPTY, other] => self.optional(other),
            _ => self.intern(Node::Union(parts.into())),
        }
    }

    fn optional(&mut self, body: RegexId) -> RegexId {
        match self.nodes[body.index()] {
            Node::Repeat { body, low: 1, high } => self.repeat_counted(body, 0, high),
            _ => self.repeat_counted(body, 0, 1),
        }
    }

    /// The sorted alternatives of a union: nested unions opened, useless ones left out.
    fn alternatives(&self, parts: Vec<RegexId>) -> Vec<RegexId> {
        let several = parts.len() > 1;
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match self.nodes[part.index()] {
                Node::Repeat {
                    body,
                    low: 0,
                    high: 1,
                } if several => {
                    flat.push(Self::EMPTY);
                    self.push_alternatives(body, &mut flat);
                }
                _ => self.push_alternatives(part, &mut flat),
            }
        }
        flat.retain(|&part| !self.is_known_empty(part));
        flat.sort_unstable();
        flat.dedup();
        if flat
            .iter()
            .any(|&part| part != Self::EMPTY && self.is_nullable(part))
        {
            flat.retain(|&part| part != Self::EMPTY);
        }
        flat
    }

    fn push_alternatives(&self, part: RegexId, flat: &mut Vec<RegexId>) {
        match &self.nodes[part.index()] {
            Node::Union(children) => flat.extend_from_slice(children),
            _ => flat.push(part),
        }
    }

    /// Whether some part (of a sorted list) is the complement of another.
    fn has_opposites(&self, parts: &[RegexId]) -> bool {
        parts.iter().any(|part| match self.nodes[part.index()] {
            Node::Complement(child) => parts.binary_search(&child).is_ok(),
            _ => false,
        })
    }

    /// `[a]t | [b]t` is `[ab]t`.
    fn merge_sets(&mut self, parts: Vec<RegexId>) -> Vec<RegexId> {
        let mut tails: Vec<(RegexId, RegexId)> = Vec::new();
        let (mut merged, mut others) = (Vec::new(), Vec::new());
        for part in parts {
            let (head, tail) = self.split(part);
            match self.nodes[head.index()] {
                Node::Set(_) => tails.push((tail, head)),
                _ => others.push(part),
            }
        }
        tails.sort_unstable();
        for group in tails.chunk_by(|a, b| a.0 == b.0) {
            let head = self.union_of_sets(group);
            merged.push(self.concat_one(head, group[0].0));
        }
        merged.extend(others);
        merged
    }

    fn union_of_sets(&mut self, group: &[(RegexId, RegexId)]) -> RegexId {
        if let [(_, only)] = group {
            return *only;
        }
        let mut ranges = Vec::new();
        for (_, head) in group {
            if let Node::Set(set) = &self.nodes[head.index()] {
                ranges.extend_from_slice(set.ranges());
            }
        }
        self.spend_steps(RANGE_STEPS * ranges.len());
        self.set(CharSet::from_ranges(ranges))
    }

    /// `r{1,3}t | r{2,5}t` is `r{1,5}t`, and `r{1,3}t | t` is `r{0,3}t`.
    fn merge_counts(&mut self, parts: Vec<RegexId>) -> Vec<RegexId> {
        let mut runs: Vec<Run> = parts.iter().map(|&part| self.run(part)).collect();
        let known: HashSet<RegexId, FastHash> = parts.iter().copied().collect();
        let skipped = runs
            .iter()
            .filter(|run| run.high > 1 && known.contains(&run.tail));
        let skips: Vec<Run> = skipped
            .map(|run| Run {
                low: 0,
                high: 0,
                ..*run
            })
            .collect();
        runs.extend(skips);
        runs.sort_unstable();
        let mut joined: Vec<Run> = Vec::with_capacity(runs.len());
        for run in runs {
            match joined.last_mut() {
                Some(last) if last.touches(&run) => last.high = last.high.max(run.high),
                _ => joined.push(run),
            }
        }
        joined.into_iter().map(|run| self.rebuild(run)).collect()
    }

    fn run(&self, part: RegexId) -> Run {
        let (head, tail) = self.split(part);
        let (body, low, high) = self.counts(head);
        Run {
            body,
            tail,
            low,
            high,
        }
    }

    fn rebuild(&mut self, run: Run) -> RegexId {
        let head = self.repeat_counted(run.body, run.low, run.high);
        self.concat(head, run.tail)
    }

    /// `hs | ht` is `h(s|t)`, and `h | ht` is `h(t?)`.
    fn share_heads(&mut self, parts: Vec<RegexId>, levels: u32) -> Vec<RegexId> {
        let mut split: Vec<_> = parts.iter().map(|&part| self.split(part)).collect();
        split.sort_unstable();
        let distinct = split.chunk_by(|a, b| a.0 == b.0).count();
        if levels == 0 || distinct == parts.len() {
            return parts;
        }
        let mut shared = Vec::with_capacity(distinct);
        for group in split.chunk_by(|a, b| a.0 == b.0) {
            let tails = group.iter().map(|&(_, tail)| tail).collect();
            let tail = self.union_sharing(tails, levels - 1);
            shared.push(self.concat(group[0].0, tail));
        }
        shared
    }

    /// Drops what "so many code points" contains, and `t` beside `ht` when `h` may be empty.
    fn drop_subsumed(&self, parts: &mut Vec<RegexId>) {
        let lengths: Vec<_> = parts
            .iter()
            .map(|&part| (part, self.counts(part)))
            .collect();
        for (length, (body, low, high)) in lengths {
            if body == Self::ANY {
                let inside = |part| self.fact(part).min >= low && self.fact(part).max <= high;
                parts.retain(|&part| part == length || !inside(part));
            }
        }
        let skippable = |&(head, tail): &(_, _)| tail != Self::EMPTY && self.is_nullable(head);
        let skipping = parts.iter().map(|&part| self.split(part)).filter(skippable);
        let mut tails: Vec<RegexId> = skipping.map(|(_, tail)| tail).collect();
        tails.sort_unstable();
        parts.retain(|part| tails.binary_search(part).is_err());
    }

    /// The members of both.
    pub fn intersection(&mut self, first: RegexId, second: RegexId) -> RegexId {
        self.intersection_all(vec![first, second])
    }

    /// The members of all the parts.
    pub fn intersection_all(&mut self, parts: Vec<RegexId>) -> RegexId {
        let mut parts = self.conjuncts(parts);
        if !self.spend_steps(INTERSECTION_STEPS * parts.len()) {
            return Self::NEVER;
        }
        if self.merge_runs(&mut parts) {
            parts = self.conjuncts(parts);
        }
        if self.is_contradictory(&parts) {
            return Self::NEVER;
        }
        self.relax_length(&mut parts);
        match parts[..] {
            [] => Self::ALWAYS,
            [only] => only,
            _ if parts.contains(&Self::EMPTY) => Self::EMPTY,
            _ => self.intern(Node::Intersection(parts.into())),
        }
    }

    /// The sorted parts of an intersection: nested intersections opened, `ALWAYS` left out.
    fn conjuncts(&self, parts: Vec<RegexId>) -> Vec<RegexId> {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match &self.nodes[part.index()] {
                Node::Intersection(children) => flat.extend_from_slice(children),
                _ if part == Self::ALWAYS => {}
                _ => flat.push(part),
            }
        }
        flat.sort_unstable();
        flat.dedup();
        flat
    }

    /// Whether lengths or complements exclude every string; a part without members does, too.
    fn is_contradictory(&self, parts: &[RegexId]) -> bool {
        let min = parts
            .iter()
            .map(|&part| self.fact(part).min)
            .max()
            .unwrap_or(0);
        let max = parts
            .iter()
            .map(|&part| self.fact(part).max)
            .min()
            .unwrap_or(UNBOUNDED);
        let only_empty = max == 0 && !parts.iter().all(|&part| self.is_nullable(part));
        min > max
            || only_empty
            || parts.iter().any(|&part| self.is_known_empty(part))
            || self.has_opposites(parts)
    }

    /// `[a-m]{1,9} & [g-z]{0,5}` is `[g-m]{1,5}`; says whether anything was merged.
    fn merge_runs(&mut self, parts: &mut Vec<RegexId>) -> bool {
        let is_run =
            |&part: &RegexId| matches!(self.nodes[self.counts(part).0.index()], Node::Set(_));
        let runs: Vec<RegexId> = parts.iter().copied().filter(is_run).collect();
        if runs.len() < 2 {
            return false;
        }
        parts.retain(|part| runs.binary_search(part).is_err()); // they are sorted
        let mut common = (CharSet::all(), 0, UNBOUNDED);
        for run in runs {
            let (body, low, high) = self.counts(run);
            if let (Node::Set(set), true) = (&self.nodes[body.index()], body != Self::ANY) {
                let ranges = common.0.ranges().len() + set.ranges().len();
                common.0 = common.0.intersection(set);
                self.spend_steps(ranges);
            }
            common = (common.0, common.1.max(low), common.2.min(high));
        }
        let body = self.set(common.0);
        parts.push(self.repeat_counted(body, common.1, common.2));
        true
    }

    /// Drops the bounds of a length that the other parts keep anyway.
    fn relax_length(&mut self, parts: &mut Vec<RegexId>) {
        let is_length = |&part: &RegexId| self.counts(part).0 == Self::ANY;
        let Some(place) = parts.iter().position(is_length).filter(|_| parts.len() > 1) else {
            return;
        };
        let (_, low, high) = self.counts(parts.remove(place));
        let min = parts
            .iter()
            .map(|&part| self.fact(part).min)
            .max()
            .unwrap_or(0);
        let max = parts
            .iter()
            .map(|&part| self.fact(part).max)
            .min()
            .unwrap_or(UNBOUNDED);
        let low = if min >= low { 0 } else { low };
        let high = if max <= high { UNBOUNDED } else { high };
        let length = self.repeat_counted(Self::ANY, low, high);
        if length != Self::ALWAYS {
            parts.push(length);
            parts.sort_unstable();
        }
    }

    /// The strings that are no members.
    pub fn complement(&mut self, id: RegexId) -> RegexId {
        match (self.nodes[id.index()].clone(), self.counts(id)) {
            _ if self.is_known_empty(id) => Self::ALWAYS,
            (Node::Complement(child), _) => child,
            (Node::Empty, _) => self.length(1, None),
            (_, (Self::ANY, low, high)) => {
                let shorter = if low == 0 {
                    Self::NEVER
                } else {
                    self.length(0, Some(low - 1))
                };
                let longer = if high == UNBOUNDED {
                    Self::NEVER
                } else {
                    self.length(high + 1, None)
                };
                self.union(shorter, longer)
            }
            _ => self.intern(Node::Complement(id)),
        }
    }

    /// The members of the first that the second lacks.
    pub fn difference(&mut self, first: RegexId, second: RegexId) -> RegexId {
        let rest = self.complement(second);
        self.intersection(first, rest)
    }

    /// The languages X with X = exit | body(X), one for each exit. In the bodies, an X must follow
    /// at least one code point and may not be complemented.
    pub fn recursive<E>(
        &mut self,
        exits: &[RegexId],
        bodies: impl FnOnce(&mut Self, &[RegexId]) -> Result<Vec<RegexId>, E>,
    ) -> Result<Vec<RegexId>, E> {
        let first = self.rules.len();
        self.rules.resize(first + exits.len(), Self::NEVER);
        let deepest = exits
            .iter()
            .map(|&exit| self.fact(exit).depth)
            .max()
            .unwrap_or(0);
        let depth = deepest + RULE_DEPTH;
        let rules = (first as u32..).zip(exits);
        let names: Vec<RegexId> = rules
            .map(|(rule, &exit)| self.rule(rule, exit, depth))
            .collect();
        for (place, body) in bodies(self, &names)?.into_iter().enumerate() {
            let definition = self.union(exits[place], body);
            let definition_depth = self.fact(definition).depth;
            let unguarded = body != Self::NEVER && self.is_nullable(body);
            self.overflowed |= unguarded || definition_depth >= depth;
            self.rules[first + place] = definition;
            self.facts[names[place].index()].depth = definition_depth + 1;
        }
        Ok(names)
    }

    fn rule(&mut self, rule: u32, exit: RegexId, depth: u16) -> RegexId {
        let id = self.intern(Node::Rule(rule));
        if id != Self::NEVER {
            self.set_facts_of_rule(id, exit, depth);
        }
        id
    }

    fn is_known_empty(&self, id: RegexId) -> bool {
        self.emptiness(id) == Emptiness::Empty
    }
}

/// Repetitions of a body in front of a tail.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    body: RegexId,
    tail: RegexId,
    low: u32,
    high: u32,
}

impl Run {
    /// Whether a run that sorts after this one continues it without a gap.
    fn touches(&self, next: &Self) -> bool {
        (self.body, self.tail) == (next.body, next.tail) && next.low <= self.high.saturating_add(1)
    }
}

/// Whether `c..=d` times `a..=b` repetitions give every count from `a c` to `b d`.
fn is_gapless((a, b): (u32, u32), (c, d): (u32, u32)) -> bool {
    let (a, b, c) = (u64::from(a), u64::from(b), u64::from(c));
    c == u64::from(d) || (c + 1) * a <= c * b + 1
}
