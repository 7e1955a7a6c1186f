//! Filling: what a grammar's readers will need, worked out ahead and without any instance.
//!
//! First the *nodes*: all that bytes can lead to from the start, with what every byte does. That is
//! a pushdown system, explored by summaries (Reps, Horwitz and Sagiv, "Precise interprocedural
//! dataflow analysis via graph reachability", 1995): a value's inside is explored once for each
//! node that it begins with, how it can end is noted there, and whatever it was begun from goes on
//! with each of these ends. So nesting without bound takes finitely many steps. What is followed
//! first is a matter of its own (`fill_order`). Nodes inside declared keys are spelt out
//! (`fill_keys`).
//!
//! Then the *ways* to masks (`fill_ways`). A mask is not written place by place: with the nodes and
//! the closed parts of their shapes it is quickly put together wherever a cursor comes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::fill_keys::Spelt;
use crate::fill_order::{Order, Rank};
use crate::fill_ways::Ways;
use crate::frozen_codes::Code;
use crate::frozen_keys::{KeyBlock, KeyTrie, MAX_POSITIONS};
use crate::frozen_tables::{Draft, MAX_ROWS, Row, Way};
use crate::grammar::{Grammar, MASK_FUEL};
use crate::hashing::{IdMap, IdSet};
use crate::machine::{Action, Node, NodeId, OutcomeId};
use crate::reader::JsonReader;
use crate::shape::Lexeme;
use crate::vocabulary::Vocabulary;

/// Nodes that are explored.
const MAX_NODES: usize = 8_000;
/// Nodes that tables may have.
const MAX_MET: usize = 40_000;
/// Positions inside keys that they may have.
const MAX_KEY_POSITIONS: usize = MAX_POSITIONS / 4;
/// Things that the bytes of a text that is remembered may do: one that is told apart by every
/// character has more, and its nodes are left to the grammar.
const MAX_WAYS_ON: usize = 48;
/// Pairs of a node and what it was begun with that are explored.
const MAX_PAIRS: usize = 60_000;
/// What the bytes of one node, or one closed part, may cost.
pub(crate) const FUEL: u64 = 200_000;

/// The tables of a reader, filled within about so long.
pub(crate) fn fill(reader: &mut JsonReader, vocabulary: &Vocabulary, time: Duration) -> Vec<u8> {
    let begun = Instant::now();
    let mut nodes = Nodes {
        key_room: MAX_KEY_POSITIONS,
        ..Nodes::default()
    };
    nodes.explore(&mut reader.grammar, begun + time * 2 / 3);
    let ways = Ways::find(&mut reader.grammar, vocabulary, &mut nodes, begun + time);
    let mut draft = nodes.draft(&mut reader.grammar, &ways.list);
    (draft.bases, draft.parts) = (ways.bases, ways.parts);
    draft.write()
}

/// All nodes that are met, and what their bytes do.
#[derive(Default)]
pub(crate) struct Nodes {
    pub numbers: IdMap<NodeId, u32>,
    pub list: Vec<NodeId>,
    rows: Vec<Option<Box<[Action; 256]>>>,
    /// How many of them are not None.
    explored: usize,
    /// By the node that keys begin at: where each of them leads.
    pub blocks: IdMap<u32, KeyBlock>,
    tries: Vec<KeyTrie>,
    trie_numbers: HashMap<Vec<Box<[u8]>>, u32>,
    /// Positions of tries that blocks may still have.
    key_room: usize,
    /// By the node that keys begin at, what comes after them.
    keys_end: IdMap<u32, Vec<Action>>,
    outcomes: IdMap<OutcomeId, u32>,
    resumed: IdMap<(NodeId, OutcomeId), Option<NodeId>>,
    /// Pairs of the node that a value began with and a node inside that value.
    pairs: HashSet<(u32, u32)>,
    /// Those that are to be followed.
    open: Order<(u32, u32)>,
    /// By the node that values began with: where they were begun (the pair's first, and the node
    /// that waits below), and how they can end.
    callers: IdMap<u32, Vec<(u32, NodeId)>>,
    ends: IdMap<u32, Vec<OutcomeId>>,
}

impl Nodes {
    /// The number of a node, old or new.
    pub fn number(&mut self, id: NodeId) -> u32 {
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
        self.meet(grammar, first, start.top);
        while let Some((entry, node)) = self.open.next() {
            if self.pairs.len() > MAX_PAIRS || Instant::now() > until {
                return;
            }
            if !self.work_out(grammar, node) {
                continue;
            }
            let actions = match self.keys_end.get(&node) {
                Some(ends) => ends.clone(),
                None => self.different_actions(node),
            };
            for action in actions {
                self.follow(grammar, entry, action);
            }
        }
    }

    /// A node inside a value that began with another.
    fn meet(&mut self, grammar: &Grammar, entry: u32, node: NodeId) {
        let number = self.number(node);
        if self.pairs.insert((entry, number)) {
            self.open.push((entry, number), Rank::of(grammar, node));
        }
    }

    /// Whether what bytes do at a node is known.
    pub fn is_known(&self, number: u32) -> bool {
        self.rows[number as usize].is_some() || self.blocks.contains_key(&number)
    }

    /// What each byte does at a node; false where that is not worked out.
    fn work_out(&mut self, grammar: &mut Grammar, number: u32) -> bool {
        let at = number as usize;
        if self.is_known(number) {
            return true;
        }
        if self.explored > MAX_NODES || self.list.len() > MAX_MET || grammar.is_full() {
            return false;
        }
        let id = self.list[at];
        let node = Arc::clone(grammar.machine.node(id));
        grammar.refuel(MASK_FUEL, FUEL);
        let spelt = Spelt::find(grammar, &node);
        if spelt.is_some_and(|spelt| self.spell_out(grammar, number, &spelt)) {
            return true;
        }
        let mut row = Box::new([Action::Dead; 256]);
        grammar.refuel(MASK_FUEL, FUEL);
        for byte in 0..=255u8 {
            if may_read(grammar, &node, byte) {
                row[byte as usize] = grammar.action(id, byte);
            }
        }
        if grammar.limit_reached().is_some() || is_told_apart(&node, &row) {
            return false;
        }
        self.explored += 1;
        row.iter().for_each(|action| self.number_targets(*action));
        self.rows[at] = Some(row);
        true
    }

    /// Notes the keys that begin at a node; false where it begins otherwise.
    fn spell_out(&mut self, grammar: &mut Grammar, number: u32, spelt: &Spelt) -> bool {
        let id = self.list[number as usize];
        let usual = match spelt.other() {
            Some(other) => {
                let other = self.number(other);
                if !self.work_out(grammar, other) {
                    return false;
                }
                self.rows[other as usize].clone()
            }
            None => None,
        };
        grammar.refuel(MASK_FUEL, FUEL);
        let mut row = [Action::Dead; 256];
        (0..=255u8).for_each(|byte| row[byte as usize] = grammar.action(id, byte));
        if !spelt.agrees(&row, usual.as_deref()) || grammar.limit_reached().is_some() {
            return false;
        }
        let Some(trie) = self.trie(spelt.texts()) else {
            return false;
        };
        let after = spelt.after();
        let after = after.map(|after| after.map_or(0, |after| self.number(after) + 1));
        let after = after.collect();
        spelt
            .ends()
            .iter()
            .for_each(|end| self.number_targets(*end));
        let block = KeyBlock {
            begin: number,
            trie,
            other: spelt.other().map(|other| NodeId(self.number(other))),
            after,
        };
        self.blocks.insert(number, block);
        self.keys_end.insert(number, spelt.ends());
        self.explored += 1;
        true
    }

    /// The number of the trie of some keys; None where there are too many positions.
    fn trie(&mut self, keys: Vec<Box<[u8]>>) -> Option<u32> {
        let number = match self.trie_numbers.get(&keys) {
            Some(known) => *known,
            None => {
                let number = self.tries.len() as u32;
                self.tries.push(KeyTrie::new(keys.clone()));
                self.trie_numbers.insert(keys, number);
                number
            }
        };
        let positions = self.tries[number as usize].len();
        self.key_room = self.key_room.checked_sub(positions)?;
        Some(number)
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
        let row = self.rows[number as usize].as_ref();
        row.map_or(Vec::new(), |row| different_actions(row))
    }

    fn follow(&mut self, grammar: &mut Grammar, entry: u32, action: Action) {
        match action {
            Action::Dead => {}
            Action::To(node)
            | Action::Spell { to: node, .. }
            | Action::Recall(node)
            | Action::Name(node) => self.meet(grammar, entry, node),
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
        self.meet(grammar, inner, above);
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
            grammar.refuel(MASK_FUEL, FUEL);
            let next = grammar.resume(key.0, key.1);
            if grammar.limit_reached().is_some() {
                return;
            }
            self.number(key.0);
            next.map(|next| self.number(next));
            self.resumed.insert(key, next);
        }
        if let Some(Some(next)) = self.resumed.get(&key) {
            self.meet(grammar, entry, *next);
        }
    }

    /// The same as tables without closed parts.
    fn draft(&mut self, grammar: &mut Grammar, ways: &[Way]) -> Draft {
        let mut draft = Draft::default();
        let (mut codes, mut rows) = (HashMap::new(), HashMap::new());
        let hubs: IdSet<NodeId> = ways.iter().filter_map(|way| way.near()).collect();
        for at in 0..self.list.len() {
            let row = self.rows[at].take();
            let row = row.and_then(|row| {
                let actions = (at as u32, &*row);
                self.coded(actions, &hubs, &mut codes, &mut draft)
            });
            let number = row.map_or(0, |row| {
                let next = draft.rows.len() as u32 + 1;
                *rows.entry(row.clone()).or_insert_with(|| {
                    draft.rows.push(*row);
                    next
                })
            });
            let is_kept = number as usize <= MAX_ROWS;
            let way = ways.get(at).copied().unwrap_or(Way::Ask);
            draft.nodes.push((if is_kept { number } else { 0 }, way));
        }
        draft.rows.truncate(MAX_ROWS);
        for ((below, outcome), next) in &self.resumed {
            let next = next.map_or(0, |next| self.numbers[&next] + 1);
            let key = (self.numbers[below], self.outcomes[outcome]);
            draft.resumed.push((key.0, key.1, next));
        }
        draft.tries = std::mem::take(&mut self.tries);
        draft.blocks = self.blocks.values().cloned().collect();
        draft.blocks.sort_unstable_by_key(|block| block.begin);
        let start = grammar.first_configuration();
        let below = grammar.machine.stack(start.below);
        let number = |node| self.numbers.get(&node).copied().unwrap_or(0);
        draft.start = (number(start.top), below.map_or(0, |(node, _)| number(node)));
        let ended = grammar.machine.intern_node(Node::End);
        draft.end = self.numbers.get(&ended).map_or(0, |end| end + 1);
        draft
    }

    /// A row of codes; None where there are too many of them.
    fn coded(
        &self,
        (from, row): (u32, &[Action; 256]),
        hubs: &IdSet<NodeId>,
        codes: &mut HashMap<Code, u16>,
        draft: &mut Draft,
    ) -> Option<Box<Row>> {
        let mut coded = Box::new([0; 256]);
        for (code, action) in coded.iter_mut().zip(row) {
            let is_hub = |node| hubs.contains(&node);
            let Some(made) = Code::of(from, self.numbered(*action), is_hub) else {
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

fn different_actions(row: &[Action; 256]) -> Vec<Action> {
    let (mut different, mut last) = (Vec::new(), Action::Dead);
    for action in row.iter().copied().map(whatever_is_spelt) {
        // Neighbours mostly do the same.
        if action != last && action != Action::Dead && !different.contains(&action) {
            different.push(action);
        }
        last = action;
    }
    different
}

/// What an action leads to, whatever it adds to a key.
fn whatever_is_spelt(action: Action) -> Action {
    match action {
        Action::Spell { to, .. } => Action::To(to),
        other => other,
    }
}

/// Whether a text is told apart from others by every character.
fn is_told_apart(node: &Node, row: &[Action; 256]) -> bool {
    matches!(node, Node::Text { read: Some(_), .. }) && different_actions(row).len() > MAX_WAYS_ON
}

/// Whether a byte could do anything at a node, without working out what.
fn may_read(grammar: &Grammar, node: &Node, byte: u8) -> bool {
    match node {
        Node::Text { shape, .. } => match grammar.machine.shapes.get(*shape).lexeme {
            Lexeme::Plain => matches!(byte, 0x20..0x80 | 0xC2..0xF5),
            Lexeme::Utf8 { .. } => matches!(byte, 0x80..0xC0),
            _ => byte.is_ascii_graphic(),
        },
        _ => node.may_begin_with(byte),
    }
}
