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
    /// By outcome: which nodes below become what, once some value ends so.
    ended: Vec<Vec<(NodeId, NodeId)>>,
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
            ended: vec![Vec::new(); tables.outcome_count()],
            examples: Vec::new(),
        };
        for (below, outcome, next) in tables.all_resumed() {
            if let Some(next) = next {
                paths.ended[usize::from(outcome)].push((below, next));
            }
        }
        paths.meet(tables.start.0, Origin::Start);
        paths.meet(tables.start.1, Origin::Start);
        paths.follow(tables);
        (paths.ended, paths.examples) = (Vec::new(), Vec::new());
        paths
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

    /// A value ends so: what is below it, if that was met, goes on.
    fn meet_end(&mut self, outcome: OutcomeId, at: (NodeId, u8)) {
        let Some(free @ None) = self.outcomes.get_mut(usize::from(outcome)) else {
            return;
        };
        *free = Some(at);
        for (below, next) in std::mem::take(&mut self.ended[usize::from(outcome)]) {
            if matches!(self.nodes.get(usize::from(below)), Some(Some(_))) {
                self.meet(next, Origin::Resumed(below, outcome));
            } else {
                self.ended[usize::from(outcome)].push((below, next));
            }
        }
    }

    /// Values that have ended above a node that is met only now.
    fn meet_resumed(&mut self, tables: &Tables, below: NodeId) {
        for (outcome, next) in tables.resumed_at(below) {
            if let Some(next) = next.filter(|_| self.end(outcome).is_some()) {
                self.meet(next, Origin::Resumed(below, outcome));
            }
        }
    }

    fn follow(&mut self, tables: &Tables) {
        let mut at = 0;
        while let Some(node) = self.open.get(at).copied() {
            at += 1;
            self.meet_resumed(tables, node);
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
                        self.meet_end(outcome, (node, byte));
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
