//! Filling: what a grammar's readers will need, worked out ahead and without any instance.
//!
//! First the *nodes*: all that bytes can lead to from the start, with what every byte does. That is
//! a pushdown system, explored by summaries (Reps, Horwitz and Sagiv, "Precise interprocedural
//! dataflow analysis via graph reachability", 1995): a value's inside is explored once for each
//! node that it begins with, how it can end is noted there, and whatever it was begun from goes on
//! with each of these ends. So nesting without bound takes finitely many steps.
//!
//! Then the *places* at which tokens begin, the likeliest first, each with its mask: after the
//! longest tokens sooner than after parts of them, in declared properties sooner than in others.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::frozen_masks::{write_base, write_mask};
use crate::frozen_tables::{Code, Draft, Inside, MAX_ROWS, Row};
use crate::grammar::Grammar;
use crate::hashing::IdMap;
use crate::machine::{Action, Configuration, Node, NodeId, OutcomeId, StackId};
use crate::mask::{Mask, walk};
use crate::memory::MemoryId;
use crate::reader::{JsonReader, Reader};
use crate::shape::Lexeme;
use crate::vocabulary::Vocabulary;

/// Nodes that tables may have.
const MAX_NODES: usize = 6_000;
/// Pairs of a node and what it was begun with that are explored.
const MAX_PAIRS: usize = 60_000;
/// Bytes of masks and places that are added to the tables of the nodes.
const MAX_MASK_BYTES: usize = 26 << 10;
/// Bytes that all tables take at most, about.
const MAX_BYTES: usize = 40 << 10;
/// Tokens of one mask that are followed.
const MAX_FOLLOWED: usize = 4_096;
/// What one byte, or one mask, may cost.
const FUEL: u64 = 200_000;

/// The tables of a reader, filled within about so long.
pub(crate) fn fill(reader: &mut JsonReader, vocabulary: &Vocabulary, time: Duration) -> Vec<u8> {
    let begun = Instant::now();
    let mut nodes = Nodes::default();
    nodes.explore(&mut reader.grammar, begun + time / 2);
    let mut draft = nodes.draft(&mut reader.grammar);
    let size = draft.clone().write().len();
    let mut places = Places {
        nodes: &mut nodes,
        draft: &mut draft,
        room: MAX_MASK_BYTES.min(MAX_BYTES.saturating_sub(size).max(MAX_BYTES / 4)),
        stacks: IdMap::default(),
        bases: HashMap::new(),
        masks: HashMap::new(),
    };
    places.explore(reader, vocabulary, begun + time);
    draft.write()
}

/// All nodes that are met, and what their bytes do.
#[derive(Default)]
struct Nodes {
    numbers: IdMap<NodeId, u32>,
    list: Vec<NodeId>,
    /// None for bytes that are left to the grammar.
    rows: Vec<Option<Box<[Option<Action>; 256]>>>,
    outcomes: IdMap<OutcomeId, u32>,
    resumed: IdMap<(NodeId, OutcomeId), Option<NodeId>>,
    /// Pairs of the node that a value began with and a node inside that value.
    pairs: HashSet<(u32, u32)>,
    open: VecDeque<(u32, u32)>,
    /// By the node that values began with: where they were begun (the pair's first, and the node
    /// that waits below), and how they can end.
    callers: IdMap<u32, Vec<(u32, NodeId)>>,
    ends: IdMap<u32, Vec<OutcomeId>>,
}

impl Nodes {
    /// The number of a node, old or new.
    fn number(&mut self, id: NodeId) -> u32 {
        if let Some(known) = self.numbers.get(&id) {
            return *known;
        }
        let number = self.list.len() as u32;
        self.list.push(id);
        self.rows.push(None);
        self.numbers.insert(id, number);
        number
    }

    fn outcome(&mut self, id: OutcomeId) -> u32 {
        let next = self.outcomes.len() as u32;
        *self.outcomes.entry(id).or_insert(next)
    }

    fn explore(&mut self, grammar: &mut Grammar, until: Instant) {
        let start = grammar.first_configuration();
        let Some((root, _)) = grammar.machine.stack(start.below) else {
            return;
        };
        let first = self.number(start.top);
        self.number(root);
        self.callers.insert(first, vec![(first, root)]);
        self.meet(first, start.top);
        while let Some((entry, node)) = self.open.pop_front() {
            if self.pairs.len() > MAX_PAIRS || Instant::now() > until {
                return;
            }
            if !self.work_out(grammar, node) {
                continue;
            }
            for action in self.different_actions(node) {
                self.follow(grammar, entry, action);
            }
        }
    }

    /// A node inside a value that began with another.
    fn meet(&mut self, entry: u32, node: NodeId) {
        let number = self.number(node);
        if self.pairs.insert((entry, number)) {
            self.open.push_back((entry, number));
        }
    }

    /// What each byte does at a node; false where that is not worked out.
    fn work_out(&mut self, grammar: &mut Grammar, number: u32) -> bool {
        let at = number as usize;
        if self.rows[at].is_some() {
            return true;
        }
        if self.list.len() > MAX_NODES || grammar.is_full() {
            return false;
        }
        let id = self.list[at];
        let node = Arc::clone(grammar.machine.node(id));
        let mut row = Box::new([Some(Action::Dead); 256]);
        for byte in 0..=255u8 {
            if !node.may_begin_with(byte) {
                continue;
            }
            grammar.refuel("mask_fuel", FUEL);
            let action = grammar.action(id, byte);
            row[byte as usize] = Some(action).filter(|action| !is_rare(grammar, *action));
            if grammar.limit_reached().is_some() {
                grammar.refuel("mask_fuel", FUEL);
                return false;
            }
        }
        for action in row.iter().flatten() {
            self.number_targets(*action);
        }
        self.rows[at] = Some(row);
        true
    }

    fn number_targets(&mut self, action: Action) {
        match action {
            Action::Dead => {}
            Action::To(node) | Action::Spell { to: node, .. } => {
                self.number(node);
            }
            Action::Recall(node) | Action::Name(node) => {
                self.number(node);
            }
            Action::Push { below, above } => {
                self.number(below);
                self.number(above);
            }
            Action::Close(outcome) | Action::Yield(outcome) => {
                self.outcome(outcome);
            }
        }
    }

    fn different_actions(&self, number: u32) -> Vec<Action> {
        let mut different: Vec<Action> = Vec::new();
        let row = self.rows[number as usize].iter();
        for action in row.flat_map(|row| row.iter().flatten()) {
            if *action != Action::Dead && !different.contains(action) {
                different.push(*action);
            }
        }
        different
    }

    fn follow(&mut self, grammar: &mut Grammar, entry: u32, action: Action) {
        match action {
            Action::Dead => {}
            Action::To(node)
            | Action::Spell { to: node, .. }
            | Action::Recall(node)
            | Action::Name(node) => self.meet(entry, node),
            Action::Push { below, above } => self.begin(grammar, entry, (below, above)),
            Action::Close(outcome) | Action::Yield(outcome) => self.end(grammar, entry, outcome),
        }
    }

    /// A value is begun inside another.
    fn begin(&mut self, grammar: &mut Grammar, entry: u32, (below, above): (NodeId, NodeId)) {
        let inner = self.number(above);
        let callers = self.callers.entry(inner).or_default();
        if callers.contains(&(entry, below)) {
            return;
        }
        callers.push((entry, below));
        self.meet(inner, above);
        for outcome in self.ends.get(&inner).cloned().unwrap_or_default() {
            self.resume(grammar, entry, (below, outcome));
        }
    }

    /// A value can end so.
    fn end(&mut self, grammar: &mut Grammar, entry: u32, outcome: OutcomeId) {
        let ends = self.ends.entry(entry).or_default();
        if ends.contains(&outcome) {
            return;
        }
        ends.push(outcome);
        for (outer, below) in self.callers.get(&entry).cloned().unwrap_or_default() {
            self.resume(grammar, outer, (below, outcome));
        }
    }

    fn resume(&mut self, grammar: &mut Grammar, entry: u32, key: (NodeId, OutcomeId)) {
        if !self.resumed.contains_key(&key) {
            grammar.refuel("mask_fuel", FUEL);
            let next = grammar.resume(key.0, key.1);
            if grammar.limit_reached().is_some() {
                return;
            }
            self.number(key.0);
            next.map(|next| self.number(next));
            self.resumed.insert(key, next);
        }
        if let Some(Some(next)) = self.resumed.get(&key) {
            self.meet(entry, *next);
        }
    }

    /// The same as tables without places.
    fn draft(&mut self, grammar: &mut Grammar) -> Draft {
        let mut draft = Draft::default();
        let (mut codes, mut rows) = (HashMap::new(), HashMap::new());
        for at in 0..self.list.len() {
            let row = self.rows[at].take();
            let row = row.and_then(|row| self.coded(at as u32, &row, &mut codes, &mut draft));
            let number = row.map_or(0, |row| {
                let next = draft.rows.len() as u32 + 1;
                *rows.entry(row.clone()).or_insert_with(|| {
                    draft.rows.push(*row);
                    next
                })
            });
            let is_kept = number as usize <= MAX_ROWS;
            let node = grammar.machine.node(self.list[at]);
            let inside = match **node {
                Node::Text { shape, .. } => match grammar.machine.shapes.get(shape).lexeme {
                    Lexeme::Plain => Inside::Text,
                    _ => Inside::Character,
                },
                _ => Inside::None,
            };
            draft.nodes.push((if is_kept { number } else { 0 }, inside));
        }
        draft.rows.truncate(MAX_ROWS);
        for ((below, outcome), next) in &self.resumed {
            let next = next.map_or(0, |next| self.numbers[&next] + 1);
            let key = (self.numbers[below], self.outcomes[outcome]);
            draft.resumed.push((key.0, key.1, next));
        }
        let ended = grammar.machine.intern_node(Node::End);
        draft.end = self.numbers.get(&ended).map_or(0, |end| end + 1);
        draft
    }

    /// A row of codes; None where there are too many of them.
    fn coded(
        &self,
        from: u32,
        row: &[Option<Action>; 256],
        codes: &mut HashMap<Code, u16>,
        draft: &mut Draft,
    ) -> Option<Box<Row>> {
        let mut coded = Box::new([0; 256]);
        for (code, action) in coded.iter_mut().zip(row) {
            let made = match action {
                Some(action) => Code::of(from, self.numbered(*action)),
                None => Some(Code::UNKNOWN),
            };
            let Some(made) = made else {
                continue;
            };
            *code = match codes.get(&made) {
                Some(known) => *known,
                None => {
                    draft.codes.push(made);
                    let number = u16::try_from(draft.codes.len()).ok()?;
                    codes.insert(made, number);
                    number
                }
            };
        }
        Some(coded)
    }

    /// An action of the machine's nodes as one of the tables'.
    fn numbered(&self, action: Action) -> Action {
        let node = |id: NodeId| NodeId(self.numbers[&id]);
        match action {
            Action::Dead => Action::Dead,
            Action::To(to) => Action::To(node(to)),
            Action::Spell { to, unit } => Action::Spell { to: node(to), unit },
            Action::Recall(to) => Action::Recall(node(to)),
            Action::Name(to) => Action::Name(node(to)),
            Action::Push { below, above } => Action::Push {
                below: node(below),
                above: node(above),
            },
            Action::Close(outcome) => Action::Close(OutcomeId(self.outcomes[&outcome])),
            Action::Yield(outcome) => Action::Yield(OutcomeId(self.outcomes[&outcome])),
        }
    }
}

/// Whether a byte leads to a node that few texts have.
fn is_rare(grammar: &Grammar, action: Action) -> bool {
    let (Action::To(to) | Action::Spell { to, .. }) = action else {
        return false;
    };
    is_rare_node(grammar, to)
}

/// Whether a node is inside a character of a text that is remembered as it is read: there every
/// character has nodes of its own, and few texts have any of them.
fn is_rare_node(grammar: &Grammar, node: NodeId) -> bool {
    match **grammar.machine.node(node) {
        Node::Text { shape, read, .. } => {
            let lexeme = grammar.machine.shapes.get(shape).lexeme;
            read.is_some() && !matches!(lexeme, Lexeme::Plain | Lexeme::Escape)
        }
        _ => false,
    }
}

/// The places at which tokens begin.
struct Places<'a> {
    nodes: &'a mut Nodes,
    draft: &'a mut Draft,
    /// Bytes that may still be added.
    room: usize,
    stacks: IdMap<StackId, u32>,
    bases: HashMap<Arc<[u32]>, usize>,
    masks: HashMap<Vec<u8>, u32>,
}

/// What it costs to come to a place: likelier ones cost less.
const TOKEN: u32 = 2;
const PART_OF_TOKEN: u32 = 3;
const UNDECLARED: u32 = 9;
const PART_OF_CHARACTER: u32 = 7;

impl Places<'_> {
    fn explore(&mut self, reader: &mut JsonReader, vocabulary: &Vocabulary, until: Instant) {
        let start = reader.start().without_memory();
        self.draft.start = match (
            self.top(start.top),
            self.stack(&reader.grammar, start.below),
        ) {
            (Some(top), Some(below)) => (top, below),
            _ => return,
        };
        let mut seen: HashSet<Configuration> = HashSet::new();
        let (mut open, mut met) = (BinaryHeap::new(), vec![start]);
        open.push(Reverse((0, 0)));
        while let Some(Reverse((cost, at))) = open.pop() {
            let place = met[at];
            if !seen.insert(place) || is_passed_over(&reader.grammar, place.top) {
                continue;
            }
            if self.room == 0 || Instant::now() > until {
                return;
            }
            reader.refuel(FUEL);
            let mask = reader.mask(vocabulary, place);
            if reader.limit_reached().is_some() {
                continue;
            }
            self.add(reader, vocabulary, place, &mask);
            for (next, more) in followed(reader, vocabulary, place, &mask) {
                if !seen.contains(&next) {
                    open.push(Reverse((cost + more, met.len())));
                    met.push(next);
                }
            }
        }
    }

    fn top(&self, id: NodeId) -> Option<u32> {
        self.nodes.numbers.get(&id).copied()
    }

    /// The number of a stack, old or new; None where its nodes have none.
    fn stack(&mut self, grammar: &Grammar, id: StackId) -> Option<u32> {
        let (mut above, mut next) = (Vec::new(), id);
        let mut number = loop {
            if let Some(known) = self.stacks.get(&next) {
                break *known;
            }
            let Some((node, below)) = grammar.machine.stack(next) else {
                break 0;
            };
            above.push((next, self.top(node)?));
            next = below;
        };
        for (id, node) in above.into_iter().rev() {
            self.draft.stacks.push((node, number));
            number = self.draft.stacks.len() as u32;
            self.stacks.insert(id, number);
            self.room = self.room.saturating_sub(3);
        }
        Some(number)
    }

    fn add(
        &mut self,
        reader: &mut JsonReader,
        vocabulary: &Vocabulary,
        place: Configuration,
        mask: &Mask,
    ) {
        let below = self.stack(&reader.grammar, place.below);
        let (Some(top), Some(below)) = (self.top(place.top), below) else {
            return;
        };
        let base = mask.base().map(|base| self.base(reader, vocabulary, base));
        let bytes = write_mask(base, mask);
        let next = self.draft.masks.len() as u32;
        let number = match self.masks.get(&bytes) {
            Some(known) => *known,
            None => {
                self.room = self.room.saturating_sub(bytes.len() + 2);
                self.draft.masks.push(bytes.clone());
                self.masks.insert(bytes, next);
                next
            }
        };
        self.room = self.room.saturating_sub(4);
        self.draft.places.push((below, top, number));
    }

    fn base(&mut self, reader: &JsonReader, vocabulary: &Vocabulary, base: &Arc<[u32]>) -> usize {
        if let Some(known) = self.bases.get(base) {
            return *known;
        }
        let recipe = reader.masks.recipe(base);
        let bytes = write_base(
            base,
            recipe,
            vocabulary,
            reader.grammar.writing.all_spellings,
        );
        self.room = self.room.saturating_sub(bytes.len() + 2);
        let number = self.draft.bases.len();
        self.draft.bases.push(bytes);
        self.bases.insert(Arc::clone(base), number);
        number
    }
}

/// Whether no mask is kept of a node: few tokens begin there, and their mask is found when it is
/// asked for.
fn is_passed_over(grammar: &Grammar, node: NodeId) -> bool {
    let Node::Text { shape, read, .. } = **grammar.machine.node(node) else {
        return false;
    };
    match grammar.machine.shapes.get(shape).lexeme {
        Lexeme::Plain => false,
        Lexeme::Utf8 { .. } | Lexeme::Escape => read.is_some(),
        _ => true,
    }
}

/// Where the tokens of a mask lead, each place once, with what it costs to go there.
fn followed(
    reader: &mut JsonReader,
    vocabulary: &Vocabulary,
    place: Configuration,
    mask: &Mask,
) -> Vec<(Configuration, u32)> {
    let mut tokens: Vec<&[u8]> = mask
        .tokens()
        .iter()
        .map(|id| vocabulary.token_bytes(*id))
        .collect();
    tokens.truncate(MAX_FOLLOWED);
    tokens.extend(remembered_tokens(&mut reader.grammar, vocabulary, place));
    tokens.sort_unstable();
    let parts = tokens.len() > mask.tokens().len();
    let singles: Vec<[u8; 1]> = (0..=255).map(|byte| [byte]).collect();
    let mut costs: HashMap<Configuration, u32> = HashMap::new();
    let mut follow = |token: &[u8], cost: u32| {
        if let Some((next, more)) = read(&mut reader.grammar, place, token) {
            let known = costs.entry(next).or_insert(u32::MAX);
            *known = (*known).min(cost + more);
        }
    };
    for (at, token) in tokens.iter().enumerate() {
        let is_part = tokens
            .get(at + 1)
            .is_some_and(|next| next.starts_with(token));
        follow(
            token,
            if is_part {
                TOKEN + PART_OF_TOKEN
            } else {
                TOKEN
            },
        );
    }
    if mask.base().is_some() {
        // All tokens that stay in a string are made of single bytes.
        for byte in &singles {
            let is_plain = byte[0].is_ascii() && byte[0] != b'\\';
            let part = if parts { PART_OF_TOKEN } else { 0 };
            follow(
                byte,
                TOKEN + if is_plain { part } else { PART_OF_CHARACTER },
            );
        }
    }
    let mut places: Vec<_> = costs.into_iter().collect();
    places.sort_unstable_by_key(|(place, cost)| (*cost, place.below.0, place.top.0));
    places
}

/// The tokens that a text which is remembered as it is read goes on with and is remembered still:
/// parts of declared keys, where undeclared ones may be written too.
fn remembered_tokens<'a>(
    grammar: &mut Grammar,
    vocabulary: &'a Vocabulary,
    place: Configuration,
) -> Vec<&'a [u8]> {
    let is_remembered = |grammar: &Grammar, node| {
        matches!(
            **grammar.machine.node(node),
            Node::Text { read: Some(_), .. }
        )
    };
    if !is_remembered(grammar, place.top) {
        return Vec::new();
    }
    let (trie, mut ids) = (vocabulary.trie(), Vec::new());
    let step = &mut |at, byte: u8| {
        let next = (byte.is_ascii() && byte != b'\\').then(|| grammar.step(at, byte))??;
        is_remembered(grammar, next.top).then_some(next)
    };
    walk(step, trie, (0, trie.len()), place, &mut ids);
    ids.truncate(MAX_FOLLOWED);
    ids.iter().map(|id| vocabulary.token_bytes(*id)).collect()
}

/// Where some bytes lead, and what is unlikely about them.
fn read(grammar: &mut Grammar, from: Configuration, bytes: &[u8]) -> Option<(Configuration, u32)> {
    let (mut at, mut cost) = (from, 0);
    for byte in bytes {
        if matches!(grammar.action(at.top, *byte), Action::Name(_)) {
            cost += UNDECLARED;
        }
        at = grammar.step(at, *byte)?;
    }
    debug_assert_eq!(at.memory, MemoryId::BLANK);
    Some((at, cost))
}
