//! The tables of a filled index: its machine's nodes and steps and its masks, as bytes and as what
//! is read with.
//!
//! After a checksum of 8 bytes all numbers are varints (LEB128). In this order:
//!
//! * codes: what a byte can do. A node that is named is given by its number, or by its distance
//!   from the node that the byte is read at, so that nodes that differ only in where they stand
//!   share their rows;
//! * rows: a code for each byte (0 for dead), as what differs from an earlier row;
//! * nodes: each with its row, if its steps are known, and what it is inside of;
//! * what a node below becomes when the value above it has ended so, ascending;
//! * stacks, each a node and an earlier stack; where the text begins and ends;
//! * places, by stack and node, ascending, each with its mask;
//! * bases and masks, each with its length, read only when they are asked for.
//!
//! Numbers of nodes, rows, codes, stacks and masks are compared with what there is when the tables
//! are opened; distances when they are followed.

use std::ops::Range;

use crate::error::EngineError;
use crate::machine::{Action, NodeId, OutcomeId, StackId};
use crate::memory::Unit;

/// What a byte does, whichever node it is read at.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Code {
    pub kind: CodeKind,
    pub to: Target,
    /// Of a push: the node above.
    pub above: Target,
    /// A code point or an outcome.
    pub number: u32,
}

#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum CodeKind {
    To,
    /// One more unit of a key: the byte itself, nothing yet, or the code point `number`.
    SpellByte,
    SpellPending,
    SpellCharacter,
    Recall,
    Name,
    Push,
    Close,
    Yield,
    /// What it does is not in the tables.
    Unknown,
}

const KINDS: [CodeKind; 10] = [
    CodeKind::To,
    CodeKind::SpellByte,
    CodeKind::SpellPending,
    CodeKind::SpellCharacter,
    CodeKind::Recall,
    CodeKind::Name,
    CodeKind::Push,
    CodeKind::Close,
    CodeKind::Yield,
    CodeKind::Unknown,
];

/// A node: by its number, or by its distance.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Target {
    At(u32),
    Off(i32),
}

/// Nodes this far away are named by their distance.
const NEAR: i64 = 40;

impl Target {
    fn of(from: u32, to: u32) -> Self {
        let distance = i64::from(to) - i64::from(from);
        if distance.abs() <= NEAR {
            Target::Off(distance as i32)
        } else {
            Target::At(to)
        }
    }

    fn number(self, from: u32) -> Option<u32> {
        match self {
            Target::At(node) => Some(node),
            Target::Off(distance) => from.checked_add_signed(distance),
        }
    }

    fn write(self, bytes: &mut Vec<u8>) {
        write_number(
            bytes,
            match self {
                Target::At(node) => u64::from(node) << 1,
                Target::Off(distance) => (u64::from(zigzag(distance)) << 1) | 1,
            },
        );
    }

    fn read(input: &mut Input, nodes: usize) -> Result<Self, EngineError> {
        let number = input.number()?;
        let half = u32::try_from(number >> 1).map_err(|_| damaged())?;
        if number & 1 == 1 {
            return Ok(Target::Off((half >> 1) as i32 ^ -((half & 1) as i32)));
        }
        input.check(half as usize, nodes)?;
        Ok(Target::At(half))
    }
}

fn zigzag(number: i32) -> u32 {
    (number << 1 ^ number >> 31) as u32
}

impl Code {
    /// For bytes that are rarely read.
    pub const UNKNOWN: Code = Code {
        kind: CodeKind::Unknown,
        to: Target::Off(0),
        above: Target::Off(0),
        number: 0,
    };

    /// What an action is at a node; None for nothing.
    pub fn of(from: u32, action: Action) -> Option<Self> {
        let none = Target::Off(0);
        let to = |node: NodeId| Target::of(from, node.0);
        let (kind, to, above, number) = match action {
            Action::Dead => return None,
            Action::To(node) => (CodeKind::To, to(node), none, 0),
            Action::Spell { to: node, unit } => {
                let (kind, number) = match unit {
                    Unit::Byte(_) => (CodeKind::SpellByte, 0),
                    Unit::Pending => (CodeKind::SpellPending, 0),
                    Unit::Character(c) => (CodeKind::SpellCharacter, u32::from(c)),
                };
                (kind, to(node), none, number)
            }
            Action::Recall(node) => (CodeKind::Recall, to(node), none, 0),
            Action::Name(node) => (CodeKind::Name, to(node), none, 0),
            Action::Push { below, above } => (CodeKind::Push, to(below), to(above), 0),
            Action::Close(outcome) => (CodeKind::Close, none, none, outcome.0),
            Action::Yield(outcome) => (CodeKind::Yield, none, none, outcome.0),
        };
        Some(Code {
            kind,
            to,
            above,
            number,
        })
    }

    fn has_target(self) -> bool {
        !self.has_outcome() && self.kind != CodeKind::Unknown
    }

    fn has_outcome(self) -> bool {
        matches!(self.kind, CodeKind::Close | CodeKind::Yield)
    }

    fn has_number(self) -> bool {
        self.has_outcome() || self.kind == CodeKind::SpellCharacter
    }

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.push(self.kind as u8);
        if self.has_target() {
            self.to.write(bytes);
        }
        if self.kind == CodeKind::Push {
            self.above.write(bytes);
        }
        if self.has_number() {
            write_number(bytes, self.number.into());
        }
    }

    fn read(input: &mut Input, nodes: usize) -> Result<Self, EngineError> {
        let kind = *KINDS.get(usize::from(input.byte()?)).ok_or_else(damaged)?;
        let mut code = Code {
            kind,
            to: Target::Off(0),
            above: Target::Off(0),
            number: 0,
        };
        if code.has_target() {
            code.to = Target::read(input, nodes)?;
        }
        if kind == CodeKind::Push {
            code.above = Target::read(input, nodes)?;
        }
        if code.has_number() {
            code.number = input.small()?;
        }
        if code.has_outcome() {
            input.check(code.number as usize, MAX_OUTCOMES)?;
        }
        if kind == CodeKind::SpellCharacter && char::from_u32(code.number).is_none() {
            return Err(damaged());
        }
        Ok(code)
    }

    /// The action at a node, for a byte, if it is known; dead where a distance leads out of the
    /// tables.
    fn action(self, from: u32, byte: u8, nodes: usize) -> Option<Action> {
        let node = |target: Target| {
            let number = target.number(from).filter(|n| (*n as usize) < nodes);
            number.map(NodeId)
        };
        let Some(to) = node(self.to) else {
            return Some(Action::Dead);
        };
        let spell = |unit| Action::Spell { to, unit };
        Some(match self.kind {
            CodeKind::Unknown => return None,
            CodeKind::To => Action::To(to),
            CodeKind::SpellByte => spell(Unit::Byte(byte)),
            CodeKind::SpellPending => spell(Unit::Pending),
            CodeKind::SpellCharacter => {
                char::from_u32(self.number).map_or(Action::Dead, |c| spell(Unit::Character(c)))
            }
            CodeKind::Recall => Action::Recall(to),
            CodeKind::Name => Action::Name(to),
            CodeKind::Push => {
                node(self.above).map_or(Action::Dead, |above| Action::Push { below: to, above })
            }
            CodeKind::Close => Action::Close(OutcomeId(self.number)),
            CodeKind::Yield => Action::Yield(OutcomeId(self.number)),
        })
    }
}

/// What a node is inside of.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Inside {
    /// No string.
    None,
    /// A string, between two characters.
    Text,
    /// A character or an escape of a string.
    Character,
}

const INSIDES: [Inside; 3] = [Inside::None, Inside::Text, Inside::Character];

/// A code for each byte, 0 for dead, else the code's number from 1.
pub(crate) type Row = [u16; 256];

/// Rows that a new one is compared with.
const COMPARED: usize = 24;

/// What the tables are written from.
#[derive(Clone, Default)]
pub(crate) struct Draft {
    pub codes: Vec<Code>,
    pub rows: Vec<Row>,
    /// A row's number from 1, or 0; and what kind of node it is.
    pub nodes: Vec<(u32, Inside)>,
    /// A node, an outcome, and the node that comes of it from 1, or 0.
    pub resumed: Vec<(u32, u32, u32)>,
    /// From number 1: the first stack is empty.
    pub stacks: Vec<(u32, u32)>,
    pub start: (u32, u32),
    /// From 1, or 0.
    pub end: u32,
    /// Stack, node, mask.
    pub places: Vec<(u32, u32, u32)>,
    pub bases: Vec<Vec<u8>>,
    pub masks: Vec<Vec<u8>>,
}

impl Draft {
    /// The bytes that `Tables::open` takes.
    pub fn write(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_count(&mut bytes, self.nodes.len());
        write_count(&mut bytes, self.codes.len());
        self.codes.iter().for_each(|code| code.write(&mut bytes));
        self.write_rows(&mut bytes);
        for (row, inside) in &self.nodes {
            write_number(&mut bytes, u64::from(*row) * 3 + *inside as u64);
        }
        self.resumed.sort_unstable();
        write_triples(&mut bytes, &self.resumed);
        write_count(&mut bytes, self.stacks.len());
        for (node, below) in &self.stacks {
            write_number(&mut bytes, (*node).into());
            write_number(&mut bytes, (*below).into());
        }
        for number in [self.start.0, self.start.1, self.end] {
            write_number(&mut bytes, number.into());
        }
        write_count(&mut bytes, self.bases.len());
        write_count(&mut bytes, self.masks.len());
        self.places.sort_unstable();
        write_triples(&mut bytes, &self.places);
        for blob in self.bases.iter().chain(&self.masks) {
            write_count(&mut bytes, blob.len());
        }
        for blob in self.bases.iter().chain(&self.masks) {
            bytes.extend_from_slice(blob);
        }
        sealed(&bytes)
    }

    fn write_rows(&self, bytes: &mut Vec<u8>) {
        const NOTHING: Row = [0; 256];
        write_count(bytes, self.rows.len());
        for (at, row) in self.rows.iter().enumerate() {
            let mut best = (0, runs(&NOTHING, row));
            for back in 1..=COMPARED.min(at) {
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
    nodes: Vec<(u32, Inside)>,
    resumed: Vec<(u32, u32, u32)>,
    pub stacks: Vec<(NodeId, StackId)>,
    pub start: (NodeId, StackId),
    pub end: Option<NodeId>,
    places: Vec<(u32, u32, u32)>,
    bases: Vec<Range<usize>>,
    masks: Vec<Range<usize>>,
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
        let nodes = input.count(1)?;
        let codes = (0..input.count(2)?).map(|_| Code::read(input, nodes));
        let mut tables = Tables {
            codes: codes.collect::<Result<_, _>>()?,
            rows: Vec::new(),
            nodes: Vec::new(),
            resumed: Vec::new(),
            stacks: Vec::new(),
            start: (NodeId(0), StackId::EMPTY),
            end: None,
            places: Vec::new(),
            bases: Vec::new(),
            masks: Vec::new(),
            bytes: body.into(),
        };
        tables.read_rows(input)?;
        tables.read_nodes(input, nodes)?;
        tables.read_stacks(input)?;
        tables.read_masks(input)?;
        Ok(tables)
    }

    fn read_rows(&mut self, input: &mut Input) -> Result<(), EngineError> {
        let count = input.count(2)?;
        input.check(count, MAX_ROWS + 1)?;
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
            let row = number / 3;
            input.check(row as usize, self.rows.len() + 1)?;
            self.nodes
                .push((row as u32, INSIDES[(number % 3) as usize]));
        }
        self.resumed = input.triples((nodes, MAX_OUTCOMES, nodes + 1))?;
        Ok(())
    }

    fn read_stacks(&mut self, input: &mut Input) -> Result<(), EngineError> {
        let nodes = self.nodes.len();
        let count = input.count(2)?;
        for at in 0..count {
            let (node, below) = (input.below(nodes)?, input.below(at + 1)?);
            self.stacks.push((NodeId(node), StackId(below)));
        }
        self.start = (
            NodeId(input.below(nodes)?),
            StackId(input.below(count + 1)?),
        );
        self.end = input.below(nodes + 1)?.checked_sub(1).map(NodeId);
        Ok(())
    }

    fn read_masks(&mut self, input: &mut Input) -> Result<(), EngineError> {
        let (bases, masks) = (input.count(1)?, input.count(1)?);
        self.places = input.triples((self.stacks.len() + 1, self.nodes.len(), masks))?;
        let lengths: Result<Vec<_>, _> = (0..bases + masks).map(|_| input.number()).collect();
        let mut at = input.at;
        for (number, length) in lengths?.into_iter().enumerate() {
            let end = at.checked_add(length as usize).ok_or_else(damaged)?;
            let blobs = if number < bases {
                &mut self.bases
            } else {
                &mut self.masks
            };
            blobs.push(at..end);
            at = end;
        }
        if at != input.bytes.len() {
            return Err(damaged());
        }
        Ok(())
    }

    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// One more than the greatest number of an outcome.
    pub fn outcome_count(&self) -> usize {
        let ends = self.codes.iter().filter(|code| code.has_outcome());
        let outcomes = ends
            .map(|code| code.number)
            .chain(self.resumed.iter().map(|r| r.1));
        outcomes.max().map_or(0, |greatest| greatest as usize + 1)
    }

    /// How many masks and how many bases there are.
    pub fn mask_counts(&self) -> (usize, usize) {
        (self.masks.len(), self.bases.len())
    }

    /// What a byte does at a node; None where that is not known.
    #[inline]
    pub fn action(&self, node: NodeId, byte: u8) -> Option<Action> {
        let (row, _) = *self.nodes.get(node.0 as usize)?;
        let row = self.rows.get(row.checked_sub(1)? as usize)?;
        let Some(code) = row[byte as usize].checked_sub(1) else {
            return Some(Action::Dead);
        };
        self.codes[code as usize].action(node.0, byte, self.nodes.len())
    }

    /// One byte for each thing that a node's bytes do.
    pub fn examples(&self, node: NodeId) -> Vec<u8> {
        let row = self.nodes.get(node.0 as usize);
        let row = row.and_then(|(row, _)| self.rows.get(row.checked_sub(1)? as usize));
        let mut met = Vec::new();
        let is_new = |byte: &u8| {
            let code = row.map_or(0, |row| row[*byte as usize]);
            let new = code != 0 && !met.contains(&code);
            met.push(code);
            new
        };
        (0..=255).filter(is_new).collect()
    }

    /// What a node of the tables is inside of.
    pub fn inside(&self, node: NodeId) -> Option<Inside> {
        Some(self.nodes.get(node.0 as usize)?.1)
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

    /// The mask of a place, if it has one.
    pub fn mask_of(&self, top: NodeId, below: StackId) -> Option<usize> {
        let key = (below.0, top.0);
        let at = self
            .places
            .binary_search_by_key(&key, |(b, t, _)| (*b, *t))
            .ok()?;
        Some(self.places[at].2 as usize)
    }

    /// A mask of some place with this node on top.
    pub fn mask_with_top(&self, top: NodeId) -> Option<usize> {
        let place = self.places.iter().find(|(_, t, _)| *t == top.0)?;
        Some(place.2 as usize)
    }

    /// The bytes of a mask.
    pub fn mask_bytes(&self, number: usize) -> &[u8] {
        self.masks
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

/// Rows that tables may have: each takes 512 bytes where it is read.
pub(crate) const MAX_ROWS: usize = 8_192;
/// Outcomes that tables may number.
const MAX_OUTCOMES: usize = 1 << 20;

/// Reads numbers that were written.
pub(crate) struct Input<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
}

impl Input<'_> {
    fn byte(&mut self) -> Result<u8, EngineError> {
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

    fn below(&mut self, end: usize) -> Result<u32, EngineError> {
        let number = self.small()?;
        self.check(number as usize, end)?;
        Ok(number)
    }

    #[expect(clippy::unused_self, reason = "said of what is read")]
    fn check(&self, number: usize, end: usize) -> Result<(), EngineError> {
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
        let count = self.count(3)?;
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

fn damaged() -> EngineError {
    EngineError::IndexFormat("the tables are not what they should be".into())
}
