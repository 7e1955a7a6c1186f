//! The nodes inside an object's keys, as they stand in tables: no rows, but the keys themselves.
//!
//! What was read of a key matters only while it begins a declared one. There are as many such nodes
//! as beginnings, for every object's place again, so that objects with many keys would fill the
//! tables. So the keys of an order are kept once, as a trie; a *block* says for one node at which
//! keys begin where each of them leads. The nodes inside have numbers behind those of all others,
//! and what their bytes do is read off the trie.

use std::ops::Range;

use crate::error::EngineError;
use crate::frozen_tables::{Input, damaged, write_count, write_number};
use crate::machine::{Action, NodeId};
use crate::memory::Unit;

/// Keys, and all their beginnings as *positions*, a key's ones in order; 0 is before all.
#[derive(Debug)]
pub(crate) struct KeyTrie {
    keys: Vec<Box<[u8]>>,
    positions: Vec<Position>,
    /// The byte and the position of each child, the children of a position side by side.
    children: Vec<(u8, u32)>,
}

#[derive(Clone, Debug, Default)]
struct Position {
    parent: u32,
    /// The last byte read.
    byte: u8,
    depth: u32,
    /// The keys that begin so.
    keys: Range<usize>,
    children: Range<usize>,
}

/// Positions that all blocks of some tables have together, and all tries.
pub(crate) const MAX_POSITIONS: usize = 1 << 20;
/// Tries that some tables may have.
const MAX_TRIES: usize = 1 << 16;

impl KeyTrie {
    /// The trie of some keys, ascending, none twice.
    pub fn new(keys: Vec<Box<[u8]>>) -> Self {
        let root = Position {
            keys: 0..keys.len(),
            ..Position::default()
        };
        let mut trie = KeyTrie {
            keys,
            positions: vec![root],
            children: Vec::new(),
        };
        let mut at = 0;
        while at < trie.positions.len() {
            trie.add_children(at);
            at += 1;
        }
        trie
    }

    fn add_children(&mut self, parent: usize) {
        let Position { depth, keys, .. } = self.positions[parent].clone();
        let (first, mut next) = (self.children.len(), keys.start);
        while next < keys.end {
            let Some(byte) = self.keys[next].get(depth as usize).copied() else {
                next += 1;
                continue;
            };
            let goes_on = |key: &[u8]| key.get(depth as usize) == Some(&byte);
            let alike = self.keys[next..keys.end].iter();
            let end = next + alike.take_while(|key| goes_on(key)).count();
            self.children.push((byte, self.positions.len() as u32));
            self.positions.push(Position {
                parent: parent as u32,
                byte,
                depth: depth + 1,
                keys: next..end,
                children: 0..0,
            });
            next = end;
        }
        self.positions[parent].children = first..self.children.len();
    }

    /// How many positions there are.
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// The keys.
    pub fn keys(&self) -> &[Box<[u8]>] {
        &self.keys
    }

    fn children(&self, position: u32) -> &[(u8, u32)] {
        &self.children[self.positions[position as usize].children.clone()]
    }

    /// The position after one more byte.
    pub fn child(&self, position: u32, byte: u8) -> Option<u32> {
        let children = self.children(position);
        let at = children.binary_search_by_key(&byte, |(b, _)| *b).ok()?;
        Some(children[at].1)
    }

    /// The key that ends at a position, by number.
    pub fn key_at(&self, position: u32) -> Option<usize> {
        let Position { depth, keys, .. } = &self.positions[position as usize];
        let first = self.keys.get(keys.start)?;
        (first.len() == *depth as usize).then_some(keys.start)
    }

    /// Writes the keys.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        write_count(bytes, self.keys.len());
        for key in &self.keys {
            write_count(bytes, key.len());
            bytes.extend_from_slice(key);
        }
    }

    /// Reads one.
    pub fn read(input: &mut Input) -> Result<Self, EngineError> {
        let count = input.count(1)?;
        let mut keys: Vec<Box<[u8]>> = Vec::with_capacity(count);
        let mut size = 0;
        for _ in 0..count {
            let length = input.count(1)?;
            let key = (0..length)
                .map(|_| input.byte())
                .collect::<Result<_, _>>()?;
            keys.push(key);
            size += length;
        }
        if size > MAX_POSITIONS || !keys.is_sorted_by(|one, other| one < other) {
            return Err(damaged());
        }
        Ok(KeyTrie::new(keys))
    }
}

/// A node at which the keys of a trie begin.
#[derive(Clone, Debug)]
pub(crate) struct KeyBlock {
    pub begin: u32,
    pub trie: u32,
    /// The node inside any other key, if there may be others.
    pub other: Option<NodeId>,
    /// By key: one more than the node after it, 0 where it may not come.
    pub after: Vec<u32>,
}

impl KeyBlock {
    /// Writes it.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        for number in [self.begin, self.trie, self.other.map_or(0, |o| o.0 + 1)] {
            write_number(bytes, number.into());
        }
        let mut usual = 0;
        for after in &self.after {
            // Mostly the number behind the last one.
            let distance = i64::from(*after) - i64::from(usual);
            let zigzag = (distance << 1 ^ distance >> 63) as u64;
            write_number(bytes, if *after == 0 { 0 } else { zigzag + 1 });
            usual = if *after == 0 { usual } else { after + 1 };
        }
    }

    /// Reads one, of tables with so many nodes.
    pub fn read(input: &mut Input, nodes: usize, tries: &[KeyTrie]) -> Result<Self, EngineError> {
        let (begin, trie) = (input.below(nodes)?, input.below(tries.len())?);
        let other = input.below(nodes + 1)?.checked_sub(1).map(NodeId);
        let (mut after, mut usual) = (Vec::new(), 0i64);
        for _ in 0..tries[trie as usize].keys().len() {
            let Some(zigzag) = input.number()?.checked_sub(1) else {
                after.push(0);
                continue;
            };
            let distance = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
            let node = usize::try_from(usual + distance).map_err(|_| damaged())?;
            input.check(node, nodes + 1)?;
            after.push(node as u32);
            usual = node as i64 + 1;
        }
        Ok(KeyBlock {
            begin,
            trie,
            other,
            after,
        })
    }
}

/// A place inside a block's keys.
#[derive(Copy, Clone)]
pub(crate) struct KeyPlace<'a> {
    pub block: &'a OpenBlock,
    trie: &'a KeyTrie,
    position: u32,
}

/// A block that is read with.
pub(crate) struct OpenBlock {
    pub block: KeyBlock,
    /// The node of position 1.
    first: u32,
    /// How many of the keys before each may come; empty where there may be others.
    open: Vec<u32>,
}

/// All keys of some tables.
#[derive(Default)]
pub(crate) struct Keys {
    tries: Vec<KeyTrie>,
    blocks: Vec<OpenBlock>,
    /// The number behind the last node inside a key.
    end: u32,
}

impl Keys {
    /// Writes tries and blocks.
    pub fn write(tries: &[KeyTrie], blocks: &[KeyBlock], bytes: &mut Vec<u8>) {
        write_count(bytes, tries.len());
        tries.iter().for_each(|trie| trie.write(bytes));
        write_count(bytes, blocks.len());
        blocks.iter().for_each(|block| block.write(bytes));
    }

    /// Reads them, of tables with so many nodes.
    pub fn read(input: &mut Input, nodes: usize) -> Result<Self, EngineError> {
        let (mut tries, mut positions) = (Vec::new(), 0);
        for _ in 0..input.count_within(1, MAX_TRIES)? {
            let trie = KeyTrie::read(input)?;
            positions += trie.len();
            input.check(positions, MAX_POSITIONS + 1)?;
            tries.push(trie);
        }
        let mut keys = Keys {
            tries,
            blocks: Vec::new(),
            end: nodes as u32,
        };
        for _ in 0..input.count(3)? {
            let block = KeyBlock::read(input, nodes, &keys.tries)?;
            keys.add(block);
            input.check(keys.end as usize - nodes, MAX_POSITIONS)?;
        }
        Ok(keys)
    }

    fn add(&mut self, block: KeyBlock) {
        let (first, mut count) = (self.end, 0);
        self.end += self.tries[block.trie as usize].len() as u32 - 1;
        let mut open = Vec::new();
        if block.other.is_none() {
            open.push(0);
            for after in &block.after {
                count += u32::from(*after != 0);
                open.push(count);
            }
        }
        self.blocks.push(OpenBlock { block, first, open });
    }

    /// The blocks.
    pub fn blocks(&self) -> impl Iterator<Item = &KeyBlock> {
        self.blocks.iter().map(|open| &open.block)
    }

    /// The number behind the last node.
    pub fn end(&self) -> usize {
        self.end as usize
    }

    /// Where the keys of a block begin.
    pub fn beginning(&self, block: usize) -> Option<KeyPlace<'_>> {
        self.place(self.blocks.get(block)?, 0)
    }

    /// The place that a node is inside keys.
    pub fn inside(&self, node: NodeId) -> Option<KeyPlace<'_>> {
        if node.0 >= self.end {
            return None;
        }
        let after = self.blocks.partition_point(|block| block.first <= node.0);
        let block = self.blocks.get(after.checked_sub(1)?)?;
        self.place(block, node.0 - block.first + 1)
    }

    fn place<'a>(&'a self, block: &'a OpenBlock, position: u32) -> Option<KeyPlace<'a>> {
        let trie = self.tries.get(block.block.trie as usize)?;
        Some(KeyPlace {
            block,
            trie,
            position,
        })
    }
}

impl<'a> KeyPlace<'a> {
    /// The node of the place.
    pub fn node(self) -> NodeId {
        match self.position {
            0 => NodeId(self.block.block.begin),
            position => NodeId(self.block.first + position - 1),
        }
    }

    /// The node inside any other key.
    pub fn other(self) -> Option<NodeId> {
        self.block.block.other
    }

    /// The place before, and the byte between; None where keys begin.
    pub fn origin(self) -> Option<(KeyPlace<'a>, u8)> {
        let Position { parent, byte, .. } = self.trie.positions[self.position as usize];
        let before = KeyPlace {
            position: parent,
            ..self
        };
        (self.position != 0).then_some((before, byte))
    }

    /// What a byte does here; None where it does what it does inside any other key.
    pub fn action(self, byte: u8) -> Option<Action> {
        let block = &self.block.block;
        if let Some(next) = self.child(byte) {
            let (to, unit) = (next.node(), Unit::Byte(byte));
            return Some(match block.other {
                Some(_) => Action::Spell { to, unit },
                None => Action::To(to),
            });
        }
        if byte == b'"'
            && let Some(key) = self.key()
        {
            return Some(match block.after[key].checked_sub(1).map(NodeId) {
                Some(after) if block.other.is_some() => Action::Recall(after),
                Some(after) => Action::To(after),
                None => Action::Dead,
            });
        }
        block.other.is_none().then_some(Action::Dead)
    }

    fn key(self) -> Option<usize> {
        self.trie.key_at(self.position)
    }

    fn child(self, byte: u8) -> Option<KeyPlace<'a>> {
        let position = self.trie.child(self.position, byte)?;
        self.is_open(position)
            .then_some(KeyPlace { position, ..self })
    }

    fn is_open(self, position: u32) -> bool {
        let keys = &self.trie.positions[position as usize].keys;
        let open = &self.block.open;
        open.is_empty() || open[keys.end] > open[keys.start]
    }

    /// The places after one more byte, with that byte.
    pub fn children(self) -> impl Iterator<Item = (u8, KeyPlace<'a>)> {
        let children = self.trie.children(self.position).iter();
        let place = move |position: u32| KeyPlace { position, ..self };
        let open = children.filter(move |(_, position)| self.is_open(*position));
        open.map(move |(byte, position)| (*byte, place(*position)))
    }

    /// Whether a declared key ends here, so that the quote does what it does nowhere else.
    pub fn ends_key(self) -> bool {
        self.key().is_some()
    }

    /// The bytes that do otherwise than inside any other key, or anything where there is none.
    pub fn own_bytes(self) -> Vec<u8> {
        let quote = self.ends_key().then_some(b'"');
        let bytes = self.children().map(|(byte, _)| byte);
        bytes.chain(quote).collect()
    }

    /// Where each key that may come ends: its last place, and the node after it.
    pub fn ends(self) -> Vec<(KeyPlace<'a>, NodeId)> {
        let after = self.block.block.after.iter().enumerate();
        let allowed = after.filter_map(|(key, after)| Some((key, NodeId(after.checked_sub(1)?))));
        let place = |key: usize| {
            let bytes = self.trie.keys[key].iter();
            bytes.fold(0, |at, byte| self.trie.child(at, *byte).unwrap_or(at))
        };
        let end = |(key, after)| {
            let position = place(key);
            (KeyPlace { position, ..self }, after)
        };
        allowed.map(end).collect()
    }
}
