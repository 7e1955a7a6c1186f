//! How each node of tables is come to from the start: what has to be followed in a grammar to find
//! the node that means the same.

use std::sync::Arc;

use crate::frozen_keys::KeyPlace;
use crate::frozen_tables::Tables;
use crate::machine::{Action, NodeId, OutcomeId};

/// What a node comes of.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// Where the text begins, and the node below that.
    Start,
    /// A byte read at another node.
    Step(NodeId, u8),
    /// A value that ended so above another node.
    Resumed(NodeId, OutcomeId),
}

/// The origins of nodes, and at which node each outcome is met.
pub(crate) struct Paths {
    nodes: Vec<Option<Origin>>,
    outcomes: Vec<Option<(NodeId, u8)>>,
    open: Vec<NodeId>,
    /// By row.
    examples: Vec<Option<Arc<[u8]>>>,
}

impl Paths {
    /// Those of some tables, near ones first: what has an origin has it of nodes that were met
    /// before, so that following them ends.
    pub fn new(tables: &Tables) -> Self {
        let mut paths = Paths {
            nodes: vec![None; tables.node_count()],
            outcomes: vec![None; tables.outcome_count()],
            open: Vec::new(),
            examples: Vec::new(),
        };
        paths.meet(tables.start.0, Origin::Start);
        paths.meet(tables.start.1, Origin::Start);
        loop {
            paths.follow_steps(tables);
            for (below, outcome, next) in tables.all_resumed() {
                let is_met = paths.origin(tables, below).is_some() && paths.end(outcome).is_some();
                if let Some(next) = next.filter(|_| is_met) {
                    paths.meet(next, Origin::Resumed(below, outcome));
                }
            }
            if paths.open.is_empty() {
                paths.examples.clear();
                return paths;
            }
        }
    }

    /// What a node comes of, if it can be come to.
    pub fn origin(&self, tables: &Tables, node: NodeId) -> Option<Origin> {
        match self.nodes.get(usize::from(node)) {
            Some(origin) => *origin,
            None => {
                let (before, byte) = tables.key_place(node)?.origin()?;
                Some(Origin::Step(before.node(), byte))
            }
        }
    }

    /// A node, and a byte that ends a value so there.
    pub fn end(&self, outcome: OutcomeId) -> Option<(NodeId, u8)> {
        *self.outcomes.get(usize::from(outcome))?
    }

    fn meet(&mut self, node: NodeId, origin: Origin) {
        if let Some(free @ None) = self.nodes.get_mut(usize::from(node)) {
            *free = Some(origin);
            self.open.push(node);
        }
    }

    fn follow_steps(&mut self, tables: &Tables) {
        let mut at = 0;
        while let Some(node) = self.open.get(at).copied() {
            at += 1;
            let keys = tables.key_place(node).map(KeyPlace::ends);
            for (last, after) in keys.into_iter().flatten() {
                self.meet(after, Origin::Step(last.node(), b'"'));
            }
            for byte in tables
                .shared_examples(node, &mut self.examples)
                .iter()
                .copied()
            {
                match tables.action(node, byte) {
                    Some(Action::Push { below, above }) => {
                        self.meet(below, Origin::Step(node, byte));
                        self.meet(above, Origin::Step(node, byte));
                    }
                    Some(Action::Close(outcome) | Action::Yield(outcome)) => {
                        if let Some(free @ None) = self.outcomes.get_mut(usize::from(outcome)) {
                            *free = Some((node, byte));
                        }
                    }
                    Some(action) => {
                        if let Some(to) = action.target() {
                            self.meet(to, Origin::Step(node, byte));
                        }
                    }
                    None => {}
                }
            }
        }
        self.open.clear();
    }
}
