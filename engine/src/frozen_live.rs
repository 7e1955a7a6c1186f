//! The compiled grammar behind the tables of a filled index, and which of its nodes each node of
//! the tables is.
//!
//! The tables are equations: this node, after this byte, is that one. Read from the start in both,
//! they pair nodes with nodes. A node is paired when it is asked for, with those on its path
//! (`frozen_paths`); a few more are with every question, so that answers name nodes of the tables
//! where they can. Nodes that only the grammar has, or that are not paired yet, get new numbers.

use std::sync::Arc;

use crate::frozen_paths::{Origin, Paths};
use crate::frozen_tables::Tables;
use crate::grammar::{Exhausted, Grammar};
use crate::hashing::IdMap;
use crate::machine::{Action, Configuration, Node, NodeId, OutcomeId, StackId};
use crate::mask::Mask;
use crate::memory::MemoryId;
use crate::reader::{JsonReader, Reader};
use crate::vocabulary::Vocabulary;

/// A compiled grammar whose nodes are paired with those of tables.
pub(crate) struct Live {
    reader: JsonReader,
    paths: Paths,
    nodes: Pairs<NodeId>,
    outcomes: Pairs<OutcomeId>,
    /// Nodes that are paired and have not been followed.
    open: Vec<NodeId>,
}

/// Ids of the tables and of the grammar that mean the same.
struct Pairs<Id> {
    /// How many the tables have.
    count: usize,
    /// The next number that means none of these.
    next: usize,
    live: IdMap<Id, Id>,
    frozen: IdMap<Id, Id>,
}

impl<Id: Copy + Eq + std::hash::Hash + From<usize> + Into<usize>> Pairs<Id> {
    fn new(count: usize) -> Self {
        Pairs {
            count,
            next: count,
            live: IdMap::default(),
            frozen: IdMap::default(),
        }
    }

    fn live(&self, frozen: Id) -> Option<Id> {
        self.live.get(&frozen).copied()
    }

    /// Pairs an id of the tables that is not paired yet; false for others. A number that the other
    /// one got meanwhile goes on meaning it.
    fn pair(&mut self, frozen: Id, live: Id) -> bool {
        if frozen.into() >= self.count || self.live.contains_key(&frozen) {
            return false;
        }
        self.live.insert(frozen, live);
        let named = self.frozen.entry(live).or_insert(frozen);
        if (*named).into() >= self.count {
            *named = frozen;
        }
        true
    }

    /// The id of the tables for one of the grammar, a new one if there is none.
    fn frozen(&mut self, live: Id) -> Id {
        if let Some(known) = self.frozen.get(&live) {
            return *known;
        }
        let next = Id::from(self.next);
        self.next += 1;
        self.live.insert(next, live);
        self.frozen.insert(live, next);
        next
    }
}

/// What it may cost to follow one node of the tables in the grammar.
const PAIRING_FUEL: u64 = 1_000_000;
/// Nodes that are followed with every question.
const FOLLOWED: usize = 2;

impl Live {
    /// A grammar that tables were filled from, its first nodes paired with theirs.
    pub fn new(reader: JsonReader, tables: &Tables) -> Self {
        let start = reader.start();
        let mut live = Live {
            reader,
            paths: Paths::new(tables),
            nodes: Pairs::new(tables.end_of_nodes()),
            outcomes: Pairs::new(tables.outcome_count()),
            open: Vec::new(),
        };
        live.pair(tables.start.0, start.top);
        if let Some((node, _)) = live.grammar().machine.stack(start.below) {
            live.pair(tables.start.1, node);
        }
        live
    }

    fn pair(&mut self, frozen: NodeId, live: NodeId) {
        if self.nodes.pair(frozen, live) {
            self.open.push(frozen);
        }
    }

    /// Follows a few nodes of the tables that are paired.
    fn follow_some(&mut self, tables: &Tables) {
        for _ in 0..FOLLOWED {
            let Some(node) = self.open.pop() else { break };
            self.pair_steps(tables, node);
        }
    }

    /// The node of the grammar that one of the tables is, all nodes on the path to it paired; None
    /// where that cannot be told.
    fn live(&mut self, tables: &Tables, node: NodeId) -> Option<NodeId> {
        let mut path = vec![node];
        while let Some(next) = path.last().copied() {
            if self.nodes.live(next).is_some() {
                path.pop();
                continue;
            }
            match self.paths.origin(tables, next)? {
                Origin::Start => return None,
                Origin::Step(from, byte) => match self.nodes.live(from) {
                    Some(live) => {
                        self.pair_step(tables, (from, live), byte);
                        self.nodes.live(next)?;
                    }
                    None => path.push(from),
                },
                Origin::Resumed(below, outcome) => {
                    let (end, byte) = self.paths.end(outcome)?;
                    match (self.nodes.live(below), self.outcomes.live(outcome)) {
                        (None, _) => path.push(below),
                        (_, Some(_)) => self.pair_resumed(next, (below, outcome))?,
                        _ => match self.nodes.live(end) {
                            Some(live) => {
                                self.pair_step(tables, (end, live), byte);
                                self.outcomes.live(outcome)?;
                            }
                            None => path.push(end),
                        },
                    }
                }
            }
        }
        self.nodes.live(node)
    }

    fn pair_resumed(&mut self, next: NodeId, key: (NodeId, OutcomeId)) -> Option<()> {
        let (below, outcome) = (self.nodes.live(key.0)?, self.outcomes.live(key.1)?);
        let grammar = &mut self.reader.grammar;
        let live = grammar.beside(PAIRING_FUEL, |grammar| grammar.resume(below, outcome))?;
        self.pair(next, live);
        Some(())
    }

    fn pair_steps(&mut self, tables: &Tables, node: NodeId) {
        let Some(live) = self.nodes.live(node) else {
            return;
        };
        for byte in tables.examples(node) {
            self.pair_step(tables, (node, live), byte);
        }
    }

    /// Pairs what a byte leads to; what is not paired is not known here.
    fn pair_step(&mut self, tables: &Tables, (node, live): (NodeId, NodeId), byte: u8) {
        let grammar = &mut self.reader.grammar;
        let action = grammar.beside(PAIRING_FUEL, |grammar| Some(grammar.action(live, byte)));
        let (Some(frozen), Some(action)) = (tables.action(node, byte), action) else {
            return;
        };
        match (frozen, action) {
            (Action::Push { below, above }, Action::Push { below: b, above: a }) => {
                self.pair(below, b);
                self.pair(above, a);
            }
            (Action::Close(frozen), Action::Close(live))
            | (Action::Yield(frozen), Action::Yield(live)) => {
                self.outcomes.pair(frozen, live);
            }
            _ => {
                if let (Some(frozen), Some(live)) = (frozen.target(), action.target()) {
                    self.pair(frozen, live);
                }
            }
        }
    }

    /// What a byte does at a node of the tables; None where that cannot be told now.
    pub fn action(&mut self, tables: &Tables, node: NodeId, byte: u8) -> Option<Action> {
        self.follow_some(tables);
        let live = self.live(tables, node)?;
        let action = self.reader.grammar.action(live, byte);
        if self.reader.grammar.is_void() {
            return None;
        }
        let nodes = &mut self.nodes;
        Some(match action {
            Action::Dead => Action::Dead,
            Action::To(to) => Action::To(nodes.frozen(to)),
            Action::Spell { to, unit } => Action::Spell {
                to: nodes.frozen(to),
                unit,
            },
            Action::Recall(to) => Action::Recall(nodes.frozen(to)),
            Action::Name(to) => Action::Name(nodes.frozen(to)),
            Action::Push { below, above } => Action::Push {
                below: nodes.frozen(below),
                above: nodes.frozen(above),
            },
            Action::Close(outcome) => Action::Close(self.outcomes.frozen(outcome)),
            Action::Yield(outcome) => Action::Yield(self.outcomes.frozen(outcome)),
        })
    }

    /// What a node becomes when the value above has ended so: Some(None) for nothing, None where
    /// that cannot be told now.
    pub fn resume(
        &mut self,
        tables: &Tables,
        below: NodeId,
        outcome: OutcomeId,
    ) -> Option<Option<NodeId>> {
        self.follow_some(tables);
        let below = self.live(tables, below)?;
        if self.outcomes.live(outcome).is_none()
            && let Some((end, byte)) = self.paths.end(outcome)
        {
            let live = self.live(tables, end)?;
            self.pair_step(tables, (end, live), byte);
        }
        let next = self
            .reader
            .grammar
            .resume(below, self.outcomes.live(outcome)?);
        let is_void = self.reader.grammar.is_void();
        (!is_void).then(|| next.map(|next| self.nodes.frozen(next)))
    }

    /// Whether the text has ended at a node that is not of the tables.
    pub fn is_end(&self, node: NodeId) -> bool {
        let live = self.nodes.live(node);
        live.is_some_and(|live| matches!(**self.reader.grammar.machine.node(live), Node::End))
    }

    /// The mask of a place where no undeclared key has been written: its node, and those below,
    /// the lowest first.
    pub fn mask(
        &mut self,
        tables: &Tables,
        vocabulary: &Vocabulary,
        (top, below): (NodeId, &[NodeId]),
    ) -> Option<Arc<Mask>> {
        let place = self.blank_place(tables, (top, below))?;
        Some(self.reader.mask(vocabulary, place))
    }

    fn blank_place(
        &mut self,
        tables: &Tables,
        (top, below): (NodeId, &[NodeId]),
    ) -> Option<Configuration> {
        let mut stack = StackId::EMPTY;
        for node in below {
            let node = self.live(tables, *node)?;
            stack = self.reader.grammar.machine.intern_stack(node, stack);
        }
        Some(Configuration {
            top: self.live(tables, top)?,
            below: stack,
            memory: MemoryId::BLANK,
        })
    }

    /// A place of the tables as the grammar's, with a memory of another grammar.
    pub fn place(
        &mut self,
        tables: &Tables,
        place: (NodeId, &[NodeId]),
        (from, memory): (&Grammar, MemoryId),
    ) -> Option<Configuration> {
        let place = self.blank_place(tables, place)?;
        let memory = self.reader.grammar.copy_memory(from, memory);
        Some(Configuration { memory, ..place })
    }

    /// The grammar.
    pub fn grammar(&mut self) -> &mut Grammar {
        &mut self.reader.grammar
    }

    /// As a reader's.
    pub fn limit_reached(&mut self) -> Option<Exhausted> {
        self.reader.limit_reached()
    }

    /// As a reader's.
    pub fn refuel(&mut self, fuel: u64) {
        self.reader.refuel(fuel);
    }

    /// As a reader's.
    pub fn fuel_left(&self) -> u64 {
        self.reader.fuel_left()
    }

    /// As a reader's.
    pub fn learnt_bytes(&self) -> usize {
        const PAIR: usize = 48;
        self.reader.learnt_bytes() + PAIR * self.nodes.live.len()
    }

    /// As a reader's.
    pub fn is_full(&self) -> bool {
        self.reader.is_full()
    }
}
