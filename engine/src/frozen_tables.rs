//! The tables of a filled index: its machine's nodes and steps and how masks are found at them, as
//! bytes and as what is read with.
//!
//! After a checksum of 8 bytes all numbers are varints (LEB128). In this order:
//!
//! * codes: what a byte can do (`frozen_codes`);
//! * rows: a code for each byte (0 for dead), as what differs from an earlier row;
//! * nodes: each with its row, if its steps are known, and the way to its masks;
//! * what a node below becomes when the value above it has ended so, ascending;
//! * keys: tries, and the nodes at which they begin (`frozen_keys`);
//! * the nodes that the text begins at and above, and the one it ends at;
//! * bases and closed parts of masks, each with its length, read only when they are asked for
//!   (`frozen_parts`).
//!
//! Numbers of nodes, rows, codes and parts are compared with what there is when the tables are
//! opened; distances when they are followed.

use std::ops::Range;
use std::sync::Arc;

use crate::error::EngineError;
use crate::frozen_codes::Code;
use crate::frozen_keys::{KeyBlock, KeyPlace, KeyTrie, Keys};
use crate::machine::{Action, NodeId, OutcomeId};

/// How the masks of the places with a node on top are found.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// By the grammar.
    Ask,
    /// By reading tokens with the tables.
    Walk,
    /// A closed part, by number; all exits lead to one place.
    Alike(u32),
    /// A closed part, by number; each exit has to be followed.
    Each(u32),
    /// As at another node, to which most texts lead from here.
    Near(NodeId),
}

impl Way {
    fn write(self, row: u32, bytes: &mut Vec<u8>) {
        let (kind, number) = match self {
            Way::Ask => (0, None),
            Way::Walk => (1, None),
            Way::Alike(part) => (2, Some(part)),
            Way::Each(part) => (3, Some(part)),
            Way::Near(node) => (4, Some(node.0)),
        };
        write_number(bytes, u64::from(row) * WAYS + kind);
        number
            .into_iter()
            .for_each(|number| write_number(bytes, number.into()));
    }

    fn read(kind: u64, input: &mut Input, nodes: usize) -> Result<Self, EngineError> {
        Ok(match kind {
            0 => Way::Ask,
            1 => Way::Walk,
            2 => Way::Alike(input.small()?),
            3 => Way::Each(input.small()?),
            _ => Way::Near(NodeId(input.below(nodes)?)),
        })
    }

    /// The node that masks are near to.
    pub fn near(self) -> Option<NodeId> {
        match self {
            Way::Near(node) => Some(node),
            _ => None,
        }
    }

    fn part(self) -> Option<u32> {
        match self {
            Way::Alike(part) | Way::Each(part) => Some(part),
            _ => None,
        }
    }
}

/// Steps of a node that are not those of a row but of a block: this and the block's number.
const BLOCKS: u32 = 1 << 31;

/// How many ways there are.
const WAYS: u64 = 5;

/// A code for each byte, 0 for dead, else the code's number from 1.
pub(crate) type Row = [u16; 256];

/// Rows that a new one is compared with.
const COMPARED: usize = 12;

/// What the tables are written from.
#[derive(Default)]
pub(crate) struct Draft {
    pub codes: Vec<Code>,
    pub rows: Vec<Row>,
    /// A row's number from 1, or 0; and the way to masks.
    pub nodes: Vec<(u32, Way)>,
    /// A node, an outcome, and the node that comes of it from 1, or 0.
    pub resumed: Vec<(u32, u32, u32)>,
    pub tries: Vec<KeyTrie>,
    pub blocks: Vec<KeyBlock>,
    /// The first node on top, and the one below it.
    pub start: (u32, u32),
    /// From 1, or 0.
    pub end: u32,
    pub bases: Vec<Vec<u8>>,
    pub parts: Vec<Vec<u8>>,
}

impl Draft {
    /// The bytes that `Tables::open` takes.
    pub fn write(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_count(&mut bytes, self.nodes.len());
        write_count(&mut bytes, self.codes.len());
        self.codes.iter().for_each(|code| code.write(&mut bytes));
        self.write_rows(&mut bytes);
        for (row, way) in &self.nodes {
            way.write(*row, &mut bytes);
        }
        self.resumed.sort_unstable();
        write_triples(&mut bytes, &self.resumed);
        Keys::write(&self.tries, &self.blocks, &mut bytes);
        for number in [self.start.0, self.start.1, self.end] {
            write_number(&mut bytes, number.into());
        }
        write_count(&mut bytes, self.bases.len());
        write_count(&mut bytes, self.parts.len());
        let blobs = || self.bases.iter().chain(&self.parts);
        blobs().for_each(|blob| write_count(&mut bytes, blob.len()));
        blobs().for_each(|blob| bytes.extend_from_slice(blob));
        sealed(&bytes)
    }

    fn write_rows(&self, bytes: &mut Vec<u8>) {
        const NOTHING: Row = [0; 256];
        write_count(bytes, self.rows.len());
        for (at, row) in self.rows.iter().enumerate() {
            let mut best = (0, runs(&NOTHING, row));
            for back in 1..=COMPARED.min(at) {
                if best.1.len() <= 1 {
                    break;
                }
                let runs = runs(&self.rows[at - back], row);
                if runs.len() < best.1.len() {
                    best = (back, runs);
                }
            }
            write_count(bytes, best.0);
            write_count(bytes, best.1.len());
            for (first, last, code) in best.1 {
                bytes.extend([first, last]);
                write_number(bytes, code.into());
            }
        }
    }
}

/// Where a row differs from another: ranges of bytes, and their code.
fn runs(from: &Row, to: &Row) -> Vec<(u8, u8, u16)> {
    let mut runs: Vec<(u8, u8, u16)> = Vec::new();
    for byte in 0..=255u8 {
        let (before, now) = (from[byte as usize], to[byte as usize]);
        match runs.last_mut() {
            Some((_, last, code)) if *code == now && *last + 1 == byte => *last = byte,
            _ if before != now => runs.push((byte, byte, now)),
            _ => {}
        }
    }
    runs
}

/// Tables that were opened.
pub(crate) struct Tables {
    codes: Vec<Code>,
    rows: Vec<Row>,
    nodes: Vec<(u32, Way)>,
    resumed: Vec<(u32, u32, u32)>,
    keys: Keys,
    /// The first node on top, and the one below it.
    pub start: (NodeId, NodeId),
    pub end: Option<NodeId>,
    bases: Vec<Range<usize>>,
    parts: Vec<Range<usize>>,
    bytes: Box<[u8]>,
}

impl Tables {
    /// Returns the tables that some bytes hold.
    ///
    /// # Errors
    ///
    /// `IndexFormat`: others.
    pub fn open(bytes: &[u8]) -> Result<Self, EngineError> {
        let (sum, body) = bytes.split_first_chunk().ok_or_else(damaged)?;
        if u64::from_le_bytes(*sum) != checksum(body) {
            return Err(EngineError::IndexFormat(
                "damaged: the tables' checksum differs".into(),
            ));
        }
        let input = &mut Input { bytes: body, at: 0 };
        let nodes = input.count_within(1, MAX_NODES)?;
        let codes = (0..input.count_within(2, MAX_CODES)?).map(|_| Code::read(input, nodes));
        let mut tables = Tables {
            codes: codes.collect::<Result<_, _>>()?,
            rows: Vec::new(),
            nodes: Vec::new(),
            resumed: Vec::new(),
            keys: Keys::default(),
            start: (NodeId(0), NodeId(0)),
            end: None,
            bases: Vec::new(),
            parts: Vec::new(),
            bytes: body.into(),
        };
        tables.read_rows(input)?;
        tables.read_nodes(input, nodes)?;
        tables.read_ends(input)?;
        tables.read_parts(input)?;
        Ok(tables)
    }

    fn read_rows(&mut self, input: &mut Input) -> Result<(), EngineError> {
        let count = input.count_within(2, MAX_ROWS)?;
        self.rows.reserve_exact(count);
        for at in 0..count {
            let back = input.number()? as usize;
            input.check(back, at + 1)?;
            let mut row = if back == 0 {
                [0; 256]
            } else {
                self.rows[at - back]
            };
            for _ in 0..input.count(3)? {
                let (first, last) = (input.byte()?, input.byte()?);
                let code = input.below(self.codes.len() + 1)?;
                let span = row.get_mut(usize::from(first)..=usize::from(last));
                span.ok_or_else(damaged)?.fill(code as u16);
            }
            self.rows.push(row);
        }
        Ok(())
    }

    fn read_nodes(&mut self, input: &mut Input, nodes: usize) -> Result<(), EngineError> {
        self.nodes.reserve_exact(nodes);
        for _ in 0..nodes {
            let number = input.number()?;
            let row = number / WAYS;
            input.check(row as usize, self.rows.len() + 1)?;
            let way = Way::read(number % WAYS, input, nodes)?;
            self.nodes.push((row as u32, way));
        }
        self.resumed = input.triples((nodes, MAX_OUTCOMES, nodes + 1))?;
        self.keys = Keys::read(input, nodes)?;
        for (number, block) in self.keys.blocks().enumerate() {
            let (steps, _) = &mut self.nodes[block.begin as usize];
            if *steps != 0 {
                return Err(damaged());
            }
            *steps = BLOCKS + number as u32;
        }
        Ok(())
    }

    fn read_ends(&mut self, input: &mut Input) -> Result<(), EngineError> {
        let nodes = self.nodes.len();
        self.start = (NodeId(input.below(nodes)?), NodeId(input.below(nodes)?));
        self.end = input.below(nodes + 1)?.checked_sub(1).map(NodeId);
        Ok(())
    }

    fn read_parts(&mut self, input: &mut Input) -> Result<(), EngineError> {
        let (bases, parts) = (
            input.count_within(1, MAX_PARTS)?,
            input.count_within(1, MAX_PARTS)?,
        );
        for number in self.nodes.iter().filter_map(|(_, way)| way.part()) {
            input.check(number as usize, parts)?;
        }
        let lengths: Result<Vec<_>, _> = (0..bases + parts).map(|_| input.number()).collect();
        let mut at = input.at;
        for (number, length) in lengths?.into_iter().enumerate() {
            let end = at.checked_add(length as usize).ok_or_else(damaged)?;
            let blobs = if number < bases {
                &mut self.bases
            } else {
                &mut self.parts
            };
            blobs.push(at..end);
            at = end;
        }
        if at != input.bytes.len() {
            return Err(damaged());
        }
        Ok(())
    }

    /// How many nodes there are that are not inside keys.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The number behind the last node of all.
    pub fn end_of_nodes(&self) -> usize {
        self.keys.end()
    }

    /// The place that a node is among keys that are spelt out.
    pub fn key_place(&self, node: NodeId) -> Option<KeyPlace<'_>> {
        match self.nodes.get(node.0 as usize) {
            Some((steps, _)) => self.keys.beginning(steps.checked_sub(BLOCKS)? as usize),
            None => self.keys.inside(node),
        }
    }

    /// One more than the greatest number of an outcome.
    pub fn outcome_count(&self) -> usize {
        let ends = self.codes.iter().filter(|code| code.has_outcome());
        let outcomes = ends
            .map(|code| code.number)
            .chain(self.resumed.iter().map(|r| r.1));
        outcomes.max().map_or(0, |greatest| greatest as usize + 1)
    }

    /// How many closed parts and how many bases there are.
    pub fn part_counts(&self) -> (usize, usize) {
        (self.parts.len(), self.bases.len())
    }

    /// What a byte does at a node; None where that is not known.
    #[inline]
    pub fn action(&self, node: NodeId, byte: u8) -> Option<Action> {
        let Some(row) = self.row(node) else {
            return self.key_action(node, byte);
        };
        let Some(code) = row[byte as usize].checked_sub(1) else {
            return Some(Action::Dead);
        };
        Some(self.codes[code as usize].action(node.0, byte, self.nodes.len()))
    }

    fn key_action(&self, node: NodeId, byte: u8) -> Option<Action> {
        let place = self.key_place(node)?;
        let own = place.action(byte);
        own.or_else(|| {
            let other = place.other().filter(|other| self.row(*other).is_some())?;
            self.action(other, byte)
        })
    }

    /// Whether what bytes do at a node is known.
    pub fn is_known(&self, node: NodeId) -> bool {
        self.row(node).is_some() || self.key_place(node).is_some()
    }

    /// One byte for each thing that a node's bytes do.
    pub fn examples(&self, node: NodeId) -> Vec<u8> {
        match self.key_place(node) {
            Some(place) => self.key_examples(node, place),
            None => self.row(node).map_or(Vec::new(), row_examples),
        }
    }

    /// The same, where nodes with the same steps share it: `known` has what was given before.
    pub fn shared_examples(&self, node: NodeId, known: &mut Vec<Option<Arc<[u8]>>>) -> Arc<[u8]> {
        let (row, steps) = (self.row(node), self.nodes.get(node.0 as usize));
        let (Some(row), Some((number, _))) = (row, steps) else {
            return self.examples(node).into();
        };
        known.resize(known.len().max(self.rows.len() + 1), None);
        let known = &mut known[*number as usize];
        Arc::clone(known.get_or_insert_with(|| row_examples(row).into()))
    }

    fn key_examples(&self, node: NodeId, place: KeyPlace) -> Vec<u8> {
        let leads = |byte: &u8| self.action(node, *byte)?.target();
        let other = place.other().and_then(|other| {
            let mut bytes = b' '..=b'~';
            bytes.find(|byte| leads(byte) == Some(other))
        });
        place.own_bytes().into_iter().chain(other).collect()
    }

    /// Whether a code means the same at every node.
    #[inline]
    pub fn is_absolute(&self, code: u16) -> bool {
        code == 0 || self.codes[usize::from(code) - 1].is_absolute()
    }

    /// The codes of a node's bytes, if they are known.
    #[inline]
    pub fn row(&self, node: NodeId) -> Option<&Row> {
        let (row, _) = *self.nodes.get(node.0 as usize)?;
        self.rows.get(row.checked_sub(1)? as usize)
    }

    /// The way to the masks of a node.
    pub fn way(&self, node: NodeId) -> Way {
        match self.nodes.get(node.0 as usize) {
            Some((_, way)) => *way,
            None => self
                .keys
                .inside(node)
                .map_or(Way::Ask, |place| place.other().map_or(Way::Walk, Way::Near)),
        }
    }

    /// What a node becomes when the value above has ended so: Some(None) for nothing.
    pub fn resumed(&self, below: NodeId, outcome: OutcomeId) -> Option<Option<NodeId>> {
        let key = (below.0, outcome.0);
        let at = self
            .resumed
            .binary_search_by_key(&key, |(b, o, _)| (*b, *o))
            .ok()?;
        Some(self.resumed[at].2.checked_sub(1).map(NodeId))
    }

    /// All of these, as pairs with what they become.
    pub fn all_resumed(&self) -> impl Iterator<Item = (NodeId, OutcomeId, Option<NodeId>)> {
        let each =
            |(b, o, n): &(u32, u32, u32)| (NodeId(*b), OutcomeId(*o), n.checked_sub(1).map(NodeId));
        self.resumed.iter().map(each)
    }

    /// Those of one node below: each outcome, and what the node becomes.
    pub fn resumed_at(&self, below: NodeId) -> impl Iterator<Item = (OutcomeId, Option<NodeId>)> {
        let from = self.resumed.partition_point(|(b, ..)| *b < below.0);
        let own = self.resumed[from..].iter();
        own.take_while(move |(b, ..)| *b == below.0)
            .map(|(_, o, n)| (OutcomeId(*o), n.checked_sub(1).map(NodeId)))
    }

    /// The bytes of a closed part.
    pub fn part_bytes(&self, number: usize) -> &[u8] {
        self.parts
            .get(number)
            .map_or(&[], |range| &self.bytes[range.clone()])
    }

    /// The bytes of a base.
    pub fn base_bytes(&self, number: usize) -> &[u8] {
        self.bases
            .get(number)
            .map_or(&[], |range| &self.bytes[range.clone()])
    }
}

fn row_examples(row: &Row) -> Vec<u8> {
    let (mut met, mut last, mut examples) = (Vec::new(), 0, Vec::new());
    for (byte, code) in (0..=255).zip(row) {
        // Neighbours mostly do the same.
        if *code != last && *code != 0 && !met.contains(code) {
            met.push(*code);
            examples.push(byte);
        }
        last = *code;
    }
    examples
}

/// Rows that tables may have: each takes 512 bytes where it is read.
pub(crate) const MAX_ROWS: usize = 8_192;
/// Outcomes that tables may number, what they may have of everything else: so that bytes take no
/// more than some of their own length where they are read.
pub(crate) const MAX_OUTCOMES: usize = 1 << 20;
const MAX_NODES: usize = 1 << 19;
const MAX_CODES: usize = (1 << 16) - 1;
const MAX_PARTS: usize = 1 << 19;
const MAX_RESUMED: usize = 1 << 21;

/// Reads numbers that were written.
pub(crate) struct Input<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
}

impl Input<'_> {
    /// Reads a byte.
    pub fn byte(&mut self) -> Result<u8, EngineError> {
        let byte = *self.bytes.get(self.at).ok_or_else(damaged)?;
        self.at += 1;
        Ok(byte)
    }

    /// Reads a number.
    pub fn number(&mut self) -> Result<u64, EngineError> {
        let mut number = 0;
        for shift in (0..42).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(damaged())
    }

    /// Reads a number of 32 bits.
    pub fn small(&mut self) -> Result<u32, EngineError> {
        u32::try_from(self.number()?).map_err(|_| damaged())
    }

    /// Reads a number below an end.
    pub fn below(&mut self, end: usize) -> Result<u32, EngineError> {
        let number = self.small()?;
        self.check(number as usize, end)?;
        Ok(number)
    }

    /// Refuses a number that is not below an end.
    #[expect(clippy::unused_self, reason = "said of what is read")]
    pub fn check(&self, number: usize, end: usize) -> Result<(), EngineError> {
        if number < end { Ok(()) } else { Err(damaged()) }
    }

    /// Reads how many items follow, of at least so many bytes each.
    pub fn count(&mut self, item_bytes: usize) -> Result<usize, EngineError> {
        let count = self.number()? as usize;
        if count > (self.bytes.len() - self.at) / item_bytes {
            return Err(damaged());
        }
        Ok(count)
    }

    /// The same of at most so many.
    pub fn count_within(&mut self, item_bytes: usize, most: usize) -> Result<usize, EngineError> {
        let count = self.count(item_bytes)?;
        self.check(count, most + 1)?;
        Ok(count)
    }

    /// Reads ascending numbers, each below `end`.
    pub fn list(&mut self, end: usize) -> Result<Vec<u32>, EngineError> {
        let count = self.count(1)?;
        let (mut list, mut next) = (Vec::with_capacity(count), 0u64);
        for _ in 0..count {
            let number = next + self.number()?;
            self.check(number as usize, end)?;
            list.push(number as u32);
            next = number + 1;
        }
        Ok(list)
    }

    /// Reads triples, their first two numbers ascending, each number below its end.
    fn triples(
        &mut self,
        ends: (usize, usize, usize),
    ) -> Result<Vec<(u32, u32, u32)>, EngineError> {
        let count = self.count_within(3, MAX_RESUMED)?;
        let (mut triples, mut last) = (Vec::with_capacity(count), (0u64, 0u64));
        for _ in 0..count {
            let (more, second) = (self.number()?, self.number()?);
            let first = last.0 + more;
            let second = if more == 0 { last.1 + second } else { second };
            self.check(first as usize, ends.0)?;
            self.check(second as usize, ends.1)?;
            let third = self.below(ends.2)?;
            triples.push((first as u32, second as u32, third));
            last = (first, second);
        }
        Ok(triples)
    }
}

/// Writes a number, seven bits a byte, the lowest first.
pub(crate) fn write_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Writes how many items follow.
pub(crate) fn write_count(bytes: &mut Vec<u8>, count: usize) {
    write_number(bytes, count as u64);
}

/// Writes ascending numbers.
pub(crate) fn write_list(bytes: &mut Vec<u8>, list: &[u32]) {
    write_count(bytes, list.len());
    let mut next = 0;
    for number in list {
        write_number(bytes, u64::from(number - next));
        next = number + 1;
    }
}

/// Triples, ascending.
fn write_triples(bytes: &mut Vec<u8>, triples: &[(u32, u32, u32)]) {
    write_count(bytes, triples.len());
    let mut last = (0, 0);
    for (first, second, third) in triples {
        let more = first - last.0;
        let second_more = if more == 0 { second - last.1 } else { *second };
        for number in [more, second_more, *third] {
            write_number(bytes, number.into());
        }
        last = (*first, *second);
    }
}

/// The tables' bytes behind their checksum.
pub(crate) fn sealed(bytes: &[u8]) -> Vec<u8> {
    [&checksum(bytes).to_le_bytes(), bytes].concat()
}

/// A sum of 64 bits that finds damage. Whoever forges bytes can forge any sum; the tables are
/// checked where they are read, as all bytes are. SHA-256 would take longer than the whole load.
fn checksum(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |sum: u64, word: u64| {
        let mixed = (sum ^ word).wrapping_mul(FACTOR);
        mixed ^ mixed >> 32
    };
    let (words, rest) = bytes.as_chunks();
    let sum = words.iter().fold(bytes.len() as u64, |sum, word| {
        mix(sum, u64::from_le_bytes(*word))
    });
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(sum, u64::from_le_bytes(last))
}

pub(crate) fn damaged() -> EngineError {
    EngineError::IndexFormat("the tables are not what they should be".into())
}
