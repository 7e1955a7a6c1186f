//! Derivatives: what may follow a code point.

use super::node::Node;
use super::partition::PartitionId;
use super::{RegexId, Regexes, Row, UNKNOWN};

/// Small steps that a new partition takes, and each of its runs.
const MEET_STEPS: usize = 128;
const RUN_STEPS: usize = 3;

impl Regexes {
    /// What may follow the code point in a member; a surrogate has no meaningful answer.
    #[inline]
    pub fn derivative(&mut self, id: RegexId, code_point: u32) -> RegexId {
        let row = self.rows[id.index()];
        if row.partition != PartitionId::UNKNOWN {
            let class = self.partitions.class(row.partition, code_point);
            let target = self.targets[(row.start + class) as usize];
            if target != UNKNOWN {
                return target;
            }
        }
        self.derive_and_store(id, code_point)
    }

    #[cold]
    fn derive_and_store(&mut self, id: RegexId, code_point: u32) -> RegexId {
        if !self.spend(1) {
            return Self::NEVER;
        }
        let partition = self.ensure_partition(id);
        let target = self.derive(id, code_point);
        if !self.is_void() {
            let class = self.partitions.class(partition, code_point);
            let start = self.rows[id.index()].start;
            self.targets[(start + class) as usize] = target;
        }
        target
    }

    fn derive(&mut self, id: RegexId, code_point: u32) -> RegexId {
        match self.nodes[id.index()].clone() {
            Node::Never | Node::Empty => Self::NEVER,
            Node::Set(set) if set.contains(code_point) => Self::EMPTY,
            Node::Set(_) => Self::NEVER,
            Node::Words {
                list,
                from,
                to,
                depth,
            } => self.derive_words(list, (from, to), depth, code_point),
            Node::Concat(..) => self.derive_concat(id, code_point),
            Node::Repeat { body, low, high } => {
                let rest = self.repeat_counted(body, low.saturating_sub(1), decrement(high));
                let first = self.derivative(body, code_point);
                self.concat(first, rest)
            }
            Node::Union(children) => {
                let parts = children
                    .iter()
                    .map(|&child| self.derivative(child, code_point))
                    .collect();
                self.union_all(parts)
            }
            Node::Intersection(children) => {
                let parts = children
                    .iter()
                    .map(|&child| self.derivative(child, code_point))
                    .collect();
                self.intersection_all(parts)
            }
            Node::Complement(child) => {
                let derived = self.derivative(child, code_point);
                self.complement(derived)
            }
            Node::Rule(rule) => self.derivative(self.rules[rule as usize], code_point),
        }
    }

    /// Walks the chain of concatenations as far as its heads may be empty.
    fn derive_concat(&mut self, id: RegexId, code_point: u32) -> RegexId {
        let mut parts = Vec::new();
        let mut rest = id;
        while let Node::Concat(head, tail) = self.nodes[rest.index()] {
            let derived = self.derivative(head, code_point);
            parts.push(self.concat(derived, tail));
            rest = tail;
            if !self.is_nullable(head) {
                return self.union_all(parts);
            }
        }
        parts.push(self.derivative(rest, code_point));
        self.union_all(parts)
    }

    fn derive_words(
        &mut self,
        list: u32,
        range: (u32, u32),
        depth: u32,
        code_point: u32,
    ) -> RegexId {
        let Some(c) = char::from_u32(code_point) else {
            return Self::NEVER;
        };
        let next = |word: &str| word[depth as usize..].chars().next();
        let words = &self.words[list as usize].words[range.0 as usize..range.1 as usize];
        let from = range.0 + words.partition_point(|word| next(word) < Some(c)) as u32;
        let to = range.0 + words.partition_point(|word| next(word) <= Some(c)) as u32;
        self.words_between(list, (from, to), depth + c.len_utf8() as u32)
    }

    /// The partition of a node; its row of derivatives is there afterwards.
    pub(super) fn ensure_partition(&mut self, id: RegexId) -> PartitionId {
        let known = self.rows[id.index()].partition;
        if known != PartitionId::UNKNOWN {
            return known;
        }
        let partition = self.partition_of(id);
        let count = self.partitions.class_count(partition);
        let start = self.targets.len();
        self.charge(count / 16);
        self.spend_steps(count);
        self.targets.resize(start + count, UNKNOWN);
        self.rows[id.index()] = Row {
            partition,
            start: start as u32,
        };
        partition
    }

    fn partition_of(&mut self, id: RegexId) -> PartitionId {
        match self.nodes[id.index()].clone() {
            Node::Never | Node::Empty => PartitionId::ONE_CLASS,
            Node::Set(set) => self.partitions.of_set(&set),
            Node::Words {
                list,
                from,
                to,
                depth,
            } => self.partition_of_words(list, (from, to), depth),
            Node::Concat(..) => self.partition_of_concat(id),
            Node::Repeat { body: child, .. } | Node::Complement(child) => {
                self.ensure_partition(child)
            }
            Node::Union(children) | Node::Intersection(children) => {
                children.iter().fold(PartitionId::ONE_CLASS, |all, &child| {
                    self.refine(all, child)
                })
            }
            Node::Rule(rule) => self.ensure_partition(self.rules[rule as usize]),
        }
    }

    fn refine(&mut self, partition: PartitionId, child: RegexId) -> PartitionId {
        let other = self.ensure_partition(child);
        self.meet(partition, other)
    }

    /// The coarsest partition that is finer than both, charged for where it is new.
    pub(super) fn meet(&mut self, one: PartitionId, other: PartitionId) -> PartitionId {
        let (met, new) = self.partitions.meet(one, other);
        if new {
            let runs = self.partitions.runs(met);
            self.charge(1 + runs / 8);
            self.spend_steps(MEET_STEPS + RUN_STEPS * runs);
        }
        met
    }

    fn partition_of_concat(&mut self, id: RegexId) -> PartitionId {
        let mut partition = PartitionId::ONE_CLASS;
        let mut rest = id;
        while let Node::Concat(head, tail) = self.nodes[rest.index()] {
            partition = self.refine(partition, head);
            if !self.is_nullable(head) {
                return partition;
            }
            rest = tail;
        }
        self.refine(partition, rest)
    }

    fn partition_of_words(&mut self, list: u32, range: (u32, u32), depth: u32) -> PartitionId {
        let next = |word: &str| word[depth as usize..].chars().next();
        let mut words = &self.words[list as usize].words[range.0 as usize..range.1 as usize];
        let mut points = Vec::new();
        while let Some(word) = words.first() {
            let first = next(word);
            points.extend(first.map(u32::from));
            words = &words[words.partition_point(|word| next(word) <= first)..];
        }
        self.charge(points.len() / 8);
        self.spend_steps(MEET_STEPS + RUN_STEPS * points.len());
        self.partitions.of_points(&points)
    }
}

/// One repetition fewer; [`super::node::UNBOUNDED`] stays.
fn decrement(count: u32) -> u32 {
    if count == super::node::UNBOUNDED {
        count
    } else {
        count.saturating_sub(1)
    }
}
