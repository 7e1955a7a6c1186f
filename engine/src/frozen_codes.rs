//! What a byte does at a node of tables, so that nodes that differ only in where they stand share
//! it: a node that is named is given by its number, or by its distance from the node that the byte
//! is read at.

use crate::error::EngineError;
use crate::frozen_tables::{Input, MAX_OUTCOMES, damaged, write_number};
use crate::machine::{Action, NodeId, OutcomeId};
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
}

const KINDS: [CodeKind; 9] = [
    CodeKind::To,
    CodeKind::SpellByte,
    CodeKind::SpellPending,
    CodeKind::SpellCharacter,
    CodeKind::Recall,
    CodeKind::Name,
    CodeKind::Push,
    CodeKind::Close,
    CodeKind::Yield,
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
    fn of(from: u32, to: u32, is_hub: bool) -> Self {
        let distance = i64::from(to) - i64::from(from);
        if distance.abs() <= NEAR && !is_hub {
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
    /// What an action is at a node; None for nothing. Hubs are nodes that many others lead to.
    pub fn of(from: u32, action: Action, is_hub: impl Fn(NodeId) -> bool) -> Option<Self> {
        let none = Target::Off(0);
        let to = |node: NodeId| Target::of(from, node.0, is_hub(node));
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
        !self.has_outcome()
    }

    /// Whether it does the same at every node.
    #[inline]
    pub fn is_absolute(self) -> bool {
        let is_at = |target| matches!(target, Target::At(_));
        self.has_outcome() || is_at(self.to) && (self.kind != CodeKind::Push || is_at(self.above))
    }

    /// Whether it ends a value.
    pub fn has_outcome(self) -> bool {
        matches!(self.kind, CodeKind::Close | CodeKind::Yield)
    }

    fn has_number(self) -> bool {
        self.has_outcome() || self.kind == CodeKind::SpellCharacter
    }

    /// Writes it.
    pub fn write(self, bytes: &mut Vec<u8>) {
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

    /// Reads one, of tables with so many nodes.
    pub fn read(input: &mut Input, nodes: usize) -> Result<Self, EngineError> {
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

    /// The action at a node, for a byte; dead where a distance leads out of the tables.
    #[inline]
    pub fn action(self, from: u32, byte: u8, nodes: usize) -> Action {
        let node = |target: Target| {
            let number = target.number(from).filter(|n| (*n as usize) < nodes);
            number.map(NodeId)
        };
        let Some(to) = node(self.to) else {
            return Action::Dead;
        };
        let spell = |unit| Action::Spell { to, unit };
        match self.kind {
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
        }
    }
}
