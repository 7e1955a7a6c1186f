//! The compiled grammar behind the tables of a filled index, and which of its nodes each node of
//! the tables is.
//!
//! The tables are equations: this node, after this byte, is that one. Read from the start in both,
//! they pair nodes with nodes. Nodes that only the grammar has get the next free numbers when they
//! are met.

use std::sync::Arc;

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
    nodes: Pairs<NodeId>,
    outcomes: Pairs<OutcomeId>,
}

/// Ids of the tables and of the grammar that mean the same.
struct Pairs<Id> {
    live: Vec<Option<Id>>,
    frozen: IdMap<Id, Id>,
}

impl<Id: Copy + Eq + std::hash::Hash + From<usize> + Into<usize>> Pairs<Id> {
    fn new(count: usize) -> Self {
        Pairs {
            live: vec![None; count],
            frozen: IdMap::default(),
        }
    }

    fn live(&self, frozen: Id) -> Option<Id> {
        self.live.get(frozen.into()).copied().flatten()
    }

    /// Pairs two ids that are not paired yet; false for others.
    fn pair(&mut self, frozen: Id, live: Id) -> bool {
        if self.frozen.contains_key(&live) {
            return false;
        }
        let Some(free @ None) = self.live.get_mut(frozen.into()) else {
            return false;
        };
        *free = Some(live);
        self.frozen.insert(live, frozen);
        true
    }

    /// The id of the tables for one of the grammar, a new one if there is none.
    fn frozen(&mut self, live: Id) -> Id {
        if let Some(known) = self.frozen.get(&live) {
            return *known;
        }
        let next = Id::from(self.live.len());
        self.live.push(Some(live));
        self.frozen.insert(live, next);
        next
    }
}

/// What it may cost to follow one node of the tables in the grammar.
const PAIRING_FUEL: u64 = 1_000_000;

impl Live {
    /// Pairs the nodes of tables with those of the grammar that they were filled from.
    pub fn new(mut reader: JsonReader, tables: &Tables) -> Self {
        reader.refuel(PAIRING_FUEL);
        let start = reader.start();
        let mut live = Live {
            reader,
            nodes: Pairs::new(tables.node_count()),
            outcomes: Pairs::new(tables.outcome_count()),
        };
        let mut open = Vec::new();
        live.pair(tables.start.0, start.top, &mut open);
        let root = (tables.start.1.0 as usize).checked_sub(1);
        let root = root.and_then(|at| tables.stacks.get(at));
        let below = live.grammar().machine.stack(start.below);
        if let (Some((frozen, _)), Some((node, _))) = (root, below) {
            live.pair(*frozen, node, &mut open);
        }
        live.pair_all(tables, open);
        live
    }

    fn pair(&mut self, frozen: NodeId, live: NodeId, open: &mut Vec<NodeId>) {
        if self.nodes.pair(frozen, live) {
            open.push(frozen);
        }
    }

    /// Follows the tables from nodes that are paired until no more are.
    fn pair_all(&mut self, tables: &Tables, mut open: Vec<NodeId>) {
        loop {
            while let Some(node) = open.pop() {
                self.pair_steps(tables, node, &mut open);
            }
            for (below, outcome, next) in tables.all_resumed() {
                let key = self.nodes.live(below).zip(self.outcomes.live(outcome));
                let (Some((below, outcome)), Some(next)) = (key, next) else {
                    continue;
                };
                if self.nodes.live(next).is_none()
                    && let Some(live) = self.resume_live(below, outcome)
                {
                    self.pair(next, live, &mut open);
                }
            }
            if open.is_empty() {
                return;
            }
        }
    }

    fn pair_steps(&mut self, tables: &Tables, node: NodeId, open: &mut Vec<NodeId>) {
        let Some(live) = self.nodes.live(node) else {
            return;
        };
        self.reader.refuel(PAIRING_FUEL);
        for byte in tables.examples(node) {
            let action = self.reader.grammar.action(live, byte);
            if self.reader.grammar.is_void() {
                return; // what is not paired is not known here
            }
            let Some(frozen) = tables.action(node, byte) else {
                continue;
            };
            match (frozen, action) {
                (Action::To(frozen), Action::To(live))
                | (Action::Spell { to: frozen, .. }, Action::Spell { to: live, .. })
                | (Action::Recall(frozen), Action::Recall(live))
                | (Action::Name(frozen), Action::Name(live)) => self.pair(frozen, live, open),
                (Action::Push { below, above }, Action::Push { below: b, above: a }) => {
                    self.pair(below, b, open);
                    self.pair(above, a, open);
                }
                (Action::Close(frozen), Action::Close(live))
                | (Action::Yield(frozen), Action::Yield(live)) => {
                    self.outcomes.pair(frozen, live);
                }
                _ => {}
            }
        }
    }

    fn resume_live(&mut self, below: NodeId, outcome: OutcomeId) -> Option<NodeId> {
        self.reader.refuel(PAIRING_FUEL);
        let next = self.reader.grammar.resume(below, outcome);
        next.filter(|_| !self.reader.grammar.is_void())
    }

    /// What a byte does at a node of the tables; None where that cannot be told now.
    pub fn action(&mut self, node: NodeId, byte: u8) -> Option<Action> {
        let live = self.nodes.live(node)?;
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
    pub fn resume(&mut self, below: NodeId, outcome: OutcomeId) -> Option<Option<NodeId>> {
        let (below, outcome) = (self.nodes.live(below)?, self.outcomes.live(outcome)?);
        let next = self.reader.grammar.resume(below, outcome);
        let is_void = self.reader.grammar.is_void();
        (!is_void).then(|| next.map(|next| self.nodes.frozen(next)))
    }

    /// Whether the text has ended at a node.
    pub fn is_end(&self, node: NodeId) -> bool {
        let live = self.nodes.live(node);
        live.is_some_and(|live| matches!(**self.reader.grammar.machine.node(live), Node::End))
    }

    /// The mask of a place where no undeclared key has been written: its node, and those below,
    /// the lowest first.
    pub fn mask(
        &mut self,
        vocabulary: &Vocabulary,
        top: NodeId,
        below: &[NodeId],
    ) -> Option<Arc<Mask>> {
        let place = self.blank_place(top, below)?;
        Some(self.reader.mask(vocabulary, place))
    }

    fn blank_place(&mut self, top: NodeId, below: &[NodeId]) -> Option<Configuration> {
        let mut stack = StackId::EMPTY;
        for node in below {
            let node = self.nodes.live(*node)?;
            stack = self.reader.grammar.machine.intern_stack(node, stack);
        }
        Some(Configuration {
            top: self.nodes.live(top)?,
            below: stack,
            memory: MemoryId::BLANK,
        })
    }

    /// A place of the tables as the grammar's, with a memory of another grammar.
    pub fn place(
        &mut self,
        (top, below): (NodeId, &[NodeId]),
        from: &Grammar,
        memory: MemoryId,
    ) -> Option<Configuration> {
        let place = self.blank_place(top, below)?;
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
