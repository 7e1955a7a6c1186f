//! How the masks of a filled index's nodes are found without its grammar.
//!
//! Inside a string a node has the closed part of its shape, which few shapes do not share, or it is
//! near to another node: one that most characters lead to and none leads away from, such as an
//! undeclared key's for the declared ones. Everywhere else few tokens can be read, so that they are
//! read with the tables.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::closed::{Closed, ClosedMasks};
use crate::fill::{FUEL, Nodes};
use crate::frozen_parts::{write_base, write_part};
use crate::frozen_tables::Way;
use crate::grammar::{Grammar, MASK_FUEL};
use crate::machine::{Node, NodeId, Role};
use crate::shape::{Lexeme, ShapeId};
use crate::vocabulary::{FreeTokens, Vocabulary};

/// Bytes of bases and closed parts that are written.
const MAX_PART_BYTES: usize = 256 << 10;
/// Tokens and exits that are rather read with the tables than written.
const FEW: usize = 24;

/// The way for each node, and what the ways need.
pub(crate) struct Ways {
    pub list: Vec<Way>,
    pub bases: Vec<Vec<u8>>,
    pub parts: Vec<Vec<u8>>,
    closed: ClosedMasks,
    free: Arc<FreeTokens>,
    /// Bytes that may still be written.
    room: usize,
    base_numbers: HashMap<Arc<[u32]>, usize>,
    part_numbers: HashMap<Vec<u8>, u32>,
}

impl Ways {
    /// Finds them for nodes that were explored; after a while, only those that take no time.
    pub fn find(
        grammar: &mut Grammar,
        vocabulary: &Vocabulary,
        nodes: &mut Nodes,
        until: Instant,
    ) -> Ways {
        grammar.refuel(MASK_FUEL, u64::MAX);
        let (mut closed, shape) = (ClosedMasks::default(), grammar.free_shape());
        let part = closed.get(grammar, vocabulary, shape);
        let free = vocabulary.free_tokens(grammar.writing.all_spellings);
        let mut ways = Ways {
            list: Vec::new(),
            bases: Vec::new(),
            parts: Vec::new(),
            closed,
            free: free.cloned().unwrap_or_default(),
            room: MAX_PART_BYTES,
            base_numbers: HashMap::new(),
            part_numbers: HashMap::new(),
        };
        ways.part(grammar, vocabulary, &part);
        for at in 0..nodes.list.len() {
            grammar.refuel(MASK_FUEL, FUEL);
            let is_late = Instant::now() > until;
            let way = ways.way(grammar, vocabulary, nodes, (at as u32, is_late));
            let is_void = grammar.limit_reached().is_some();
            ways.list.push(if is_void { Way::Ask } else { way });
        }
        ways
    }

    fn way(
        &mut self,
        grammar: &mut Grammar,
        vocabulary: &Vocabulary,
        nodes: &Nodes,
        (number, is_late): (u32, bool),
    ) -> Way {
        if !nodes.is_known(number) {
            return Way::Ask;
        }
        if let Some(block) = nodes.blocks.get(&number) {
            return block.other.map_or(Way::Walk, Way::Near);
        }
        let id = nodes.list[number as usize];
        let node = Arc::clone(grammar.machine.node(id));
        let Node::Text {
            shape, role, read, ..
        } = *node
        else {
            return Way::Walk;
        };
        if grammar.machine.shapes.get(shape).lexeme != Lexeme::Plain {
            return Way::Walk;
        }
        if role == Role::Value && read.is_some() {
            return Way::Ask;
        }
        if let Some(other) = near_to(grammar, id, (shape, role)) {
            let known = nodes.numbers.get(&other).filter(|at| nodes.is_known(**at));
            return known.map_or(Way::Ask, |at| Way::Near(NodeId(*at)));
        }
        if is_late {
            return Way::Ask;
        }
        self.closed_way(grammar, vocabulary, (id, shape))
    }

    fn closed_way(
        &mut self,
        grammar: &mut Grammar,
        vocabulary: &Vocabulary,
        (id, shape): (NodeId, ShapeId),
    ) -> Way {
        let closed = self.closed.get(grammar, vocabulary, shape).in_one();
        if grammar.is_void() {
            return Way::Ask;
        }
        if closed.base.is_none() && closed.tokens.len() + closed.exits.len() <= FEW {
            return Way::Walk;
        }
        let is_alike = closed.exits.first().is_none_or(|first| {
            let accepted = grammar.accepted(first.before);
            let mut others = closed.exits.iter();
            grammar.leaves_alike(id, first.before)
                && others.all(|exit| grammar.accepted(exit.before) == accepted)
        });
        match self.part(grammar, vocabulary, &closed) {
            Some(part) if is_alike => Way::Alike(part),
            Some(part) => Way::Each(part),
            None => Way::Ask,
        }
    }

    /// The number of a closed part; None where it cannot be written.
    fn part(&mut self, grammar: &Grammar, vocabulary: &Vocabulary, closed: &Closed) -> Option<u32> {
        let base = match &closed.base {
            Some(base) => Some(self.base(grammar, vocabulary, base)?),
            None => None,
        };
        let bytes = write_part(base, closed, &self.free)?;
        if let Some(known) = self.part_numbers.get(&bytes) {
            return Some(*known);
        }
        self.room = self.room.checked_sub(bytes.len() + 2)?;
        let number = self.parts.len() as u32;
        self.parts.push(bytes.clone());
        self.part_numbers.insert(bytes, number);
        Some(number)
    }

    fn base(
        &mut self,
        grammar: &Grammar,
        vocabulary: &Vocabulary,
        base: &Arc<[u32]>,
    ) -> Option<usize> {
        if let Some(known) = self.base_numbers.get(base) {
            return Some(*known);
        }
        let (recipe, all) = (self.closed.recipe(base), grammar.writing.all_spellings);
        let bytes = write_base(base, recipe, vocabulary, all);
        self.room = self.room.checked_sub(bytes.len() + 2)?;
        let number = self.bases.len();
        self.bases.push(bytes);
        self.base_numbers.insert(Arc::clone(base), number);
        Some(number)
    }
}

/// The node that most characters lead to from inside a string, if none leads away from there.
fn near_to(grammar: &mut Grammar, id: NodeId, (shape, role): (ShapeId, Role)) -> Option<NodeId> {
    if let Role::Key(object) = role
        && grammar.key_tracks(object).is_text_kept
    {
        return None;
    }
    let others = grammar.listed(shape)?.others?;
    let is_other = others != shape && grammar.is_settled(others);
    is_other.then(|| grammar.with_shape(id, others))
}
