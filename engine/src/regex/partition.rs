//! Interned partitions of the code points into classes that an expression does not tell apart.

use std::collections::HashMap;
use std::sync::Arc;

use super::hashing::FastHash;
use crate::charset::{CharSet, MAX_CODE_POINT};

/// Names an interned partition.
#[derive(Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PartitionId(u32);

impl PartitionId {
    pub(super) const UNKNOWN: Self = Self(u32::MAX);
    /// One class of everything.
    pub(super) const ONE_CLASS: Self = Self(0);

    fn index(self) -> usize {
        self.0 as usize
    }
}

/// Runs of code points `(first, class)` in order; neighbours differ, classes are numbered as they
/// appear, and surrogates go with what is before them. Equal partitions have equal runs.
pub(super) type Runs = Arc<[(u32, u32)]>;

struct Partition {
    runs: Runs,
    /// Classes are numbered as they appear, so that those of ASCII are small.
    ascii: [u8; 128],
    /// A member of each class, a readable one where there is any.
    samples: Arc<[u32]>,
    classes: Option<Arc<[CharSet]>>,
}

/// Every partition in use.
pub(super) struct Partitions {
    partitions: Vec<Partition>,
    ids: HashMap<Runs, PartitionId, FastHash>,
    meets: HashMap<(PartitionId, PartitionId), PartitionId, FastHash>,
    of_sets: HashMap<CharSet, PartitionId, FastHash>,
}

impl Partitions {
    pub(super) fn new() -> Self {
        let mut partitions = Self {
            partitions: Vec::new(),
            ids: HashMap::default(),
            meets: HashMap::default(),
            of_sets: HashMap::default(),
        };
        partitions.intern(vec![(0, 0)]);
        partitions
    }

    /// The members of a set against the rest.
    pub(super) fn of_set(&mut self, set: &CharSet) -> PartitionId {
        if let Some(&known) = self.of_sets.get(set) {
            return known;
        }
        let edges = set
            .ranges()
            .iter()
            .flat_map(|&(low, high)| [(low, 1), (high + 1, 0)]);
        let partition = self.of_labels(edges);
        self.of_sets.insert(set.clone(), partition);
        partition
    }

    /// Each of the sorted code points in a class of its own.
    pub(super) fn of_points(&mut self, points: &[u32]) -> PartitionId {
        let labelled = points.iter().zip(1..);
        self.of_labels(labelled.flat_map(|(&point, label)| [(point, label), (point + 1, 0)]))
    }

    /// Code points from each edge on have its label; label 0 before the first one.
    fn of_labels(&mut self, edges: impl IntoIterator<Item = (u32, u32)>) -> PartitionId {
        let mut labels = vec![(0, 0)];
        for (first, label) in edges {
            // Surrogates are in no set: they go with what is before them.
            let first = if first == 0xD800 { 0xE000 } else { first };
            if labels.last().is_some_and(|last| last.0 == first) {
                labels.pop();
            }
            labels.push((first, label));
        }
        labels.retain(|&(first, _)| first <= MAX_CODE_POINT);
        self.intern(labels)
    }

    /// The coarsest partition that is finer than both, and whether it had to be computed.
    pub(super) fn meet(&mut self, a: PartitionId, b: PartitionId) -> (PartitionId, bool) {
        if a == b || b == PartitionId::ONE_CLASS {
            return (a, false);
        }
        if a == PartitionId::ONE_CLASS {
            return (b, false);
        }
        let key = (a.min(b), a.max(b));
        if let Some(&known) = self.meets.get(&key) {
            return (known, false);
        }
        let labels = self.overlay(key.0, key.1);
        let partition = self.intern(labels);
        self.meets.insert(key, partition);
        (partition, true)
    }

    fn overlay(&self, a: PartitionId, b: PartitionId) -> Vec<(u32, u32)> {
        let (a, b) = (
            &self.partitions[a.index()].runs,
            &self.partitions[b.index()].runs,
        );
        let (mut i, mut j) = (0, 0);
        let mut numbers: HashMap<(u32, u32), u32, FastHash> = HashMap::default();
        let mut labels = Vec::with_capacity(a.len() + b.len());
        loop {
            let fresh = numbers.len() as u32;
            let label = *numbers.entry((a[i].1, b[j].1)).or_insert(fresh);
            labels.push((a[i].0.max(b[j].0), label));
            let next_a = a.get(i + 1).map_or(u32::MAX, |run| run.0);
            let next_b = b.get(j + 1).map_or(u32::MAX, |run| run.0);
            if next_a.min(next_b) == u32::MAX {
                return labels;
            }
            i += usize::from(next_a <= next_b);
            j += usize::from(next_b <= next_a);
        }
    }

    /// The partition with these labels, made canonical.
    fn intern(&mut self, labels: Vec<(u32, u32)>) -> PartitionId {
        let runs: Runs = canonical(labels).into();
        if let Some(&known) = self.ids.get(&runs) {
            return known;
        }
        let id = PartitionId(self.partitions.len() as u32);
        self.partitions.push(Partition {
            ascii: std::array::from_fn(|c| class_in(&runs, c as u32) as u8),
            samples: samples_of(&runs).into(),
            runs: runs.clone(),
            classes: None,
        });
        self.ids.insert(runs, id);
        id
    }

    /// The class of a code point.
    #[inline]
    pub(super) fn class(&self, partition: PartitionId, code_point: u32) -> u32 {
        let partition = &self.partitions[partition.index()];
        match partition.ascii.get(code_point as usize) {
            Some(&class) => u32::from(class),
            None => class_in(&partition.runs, code_point),
        }
    }

    /// The class of all code points of an inclusive range, if they are in one.
    pub(super) fn class_of_range(
        &self,
        partition: PartitionId,
        (low, high): (u32, u32),
    ) -> Option<u32> {
        let runs = &self.partitions[partition.index()].runs;
        let after = runs.partition_point(|&(first, _)| first <= low);
        let ends = runs.get(after).is_none_or(|next| high < next.0);
        ends.then(|| runs[after.saturating_sub(1)].1)
    }

    /// A member of each class.
    pub(super) fn samples(&self, partition: PartitionId) -> Arc<[u32]> {
        self.partitions[partition.index()].samples.clone()
    }

    /// Its runs.
    pub(super) fn all_runs(&self, partition: PartitionId) -> Runs {
        Arc::clone(&self.partitions[partition.index()].runs)
    }

    /// How many runs describe the partition: its size in memory.
    pub(super) fn runs(&self, partition: PartitionId) -> usize {
        self.partitions[partition.index()].runs.len()
    }

    pub(super) fn class_count(&self, partition: PartitionId) -> usize {
        self.partitions[partition.index()].samples.len()
    }

    /// The classes as sets, in the order of the samples.
    pub(super) fn classes(&mut self, partition: PartitionId) -> Arc<[CharSet]> {
        let partition = &mut self.partitions[partition.index()];
        let (runs, count) = (&partition.runs, partition.samples.len());
        partition
            .classes
            .get_or_insert_with(|| sets_of(runs, count))
            .clone()
    }
}

fn class_in(runs: &[(u32, u32)], code_point: u32) -> u32 {
    let after = runs.partition_point(|&(first, _)| first <= code_point);
    runs[after.saturating_sub(1)].1
}

/// Joins neighbours of one class and numbers the classes as they appear.
fn canonical(mut labels: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    labels.dedup_by_key(|&mut (_, label)| label);
    let mut numbers: HashMap<u32, u32, FastHash> = HashMap::default();
    for (_, label) in &mut labels {
        let fresh = numbers.len() as u32;
        *label = *numbers.entry(*label).or_insert(fresh);
    }
    labels
}

/// The runs with their last code points; none consists of surrogates only.
fn bounded(runs: &[(u32, u32)]) -> impl Iterator<Item = (u32, u32, u32)> + '_ {
    let ends = runs
        .iter()
        .skip(1)
        .map(|&(first, _)| first - 1)
        .chain([MAX_CODE_POINT]);
    runs.iter()
        .zip(ends)
        .map(|(&(first, class), last)| (first, last, class))
}

fn samples_of(runs: &[(u32, u32)]) -> Vec<u32> {
    let count = runs
        .iter()
        .map(|&(_, class)| class as usize + 1)
        .max()
        .unwrap_or(0);
    let mut samples = vec![u32::MAX; count];
    for (first, last, class) in bounded(runs) {
        let sample = &mut samples[class as usize];
        let best = most_readable(first, last);
        if (readability(best), best) < (readability(*sample), *sample) {
            *sample = best;
        }
    }
    samples
}

const READABLE: [(char, char); 4] = [('a', 'z'), ('0', '9'), ('A', 'Z'), (' ', '~')];

/// The code point of a range that reads best in an example.
fn most_readable(first: u32, last: u32) -> u32 {
    let common = READABLE
        .iter()
        .map(|&(low, high)| (first.max(low as u32), last.min(high as u32)));
    common
        .filter(|(low, high)| low <= high)
        .map(|(low, _)| low)
        .next()
        .unwrap_or(first)
}

/// How badly a code point reads in an example.
pub(super) fn readability(code_point: u32) -> usize {
    let holds = |&(low, high): &(char, char)| (low as u32..=high as u32).contains(&code_point);
    READABLE.iter().position(holds).unwrap_or(READABLE.len())
}

fn sets_of(runs: &[(u32, u32)], count: usize) -> Arc<[CharSet]> {
    let mut ranges = vec![Vec::new(); count];
    for (first, last, class) in bounded(runs) {
        ranges[class as usize].push((first, last));
    }
    ranges.into_iter().map(CharSet::from_ranges).collect()
}
