//! The byte machine: JSON text read byte by byte against formulas, its states made as they are met.
//!
//! A configuration is a *node* on top of a stack of nodes, both hash-consed. A node tracks one or
//! several formulas side by side (`tracks`): a child that can be read in several ways is read in
//! all of them at once, and what survives decides what its parent may still become. All tracks
//! share the nesting, which JSON's brackets fix, so a stack of nodes suffices.

mod ending;
mod next_byte;

use std::sync::Arc;

use crate::charset::CharSet;
use crate::decimal::Decimal;
use crate::formula::{Formula, FormulaId, Interner, Kind, TextId, ValueId, ids};
use crate::grammar::{Branch, Grammar, NumberLanguageId, Place, Whitespace};
use crate::hashing::IdMap;
use crate::json::Value;
use crate::keys::KeyTracks;
use crate::memory::{Memories, MemoryId, Unit};
use crate::number::NumberState;
use crate::regex::{RegexId, Regexes};
use crate::shape::{Lexeme, Listed, ShapeId, ShapeStep, Shapes};
use ending::Endings;

ids! {
    /// An interned node.
    NodeId,
    /// An interned stack: a node and the stack below it. The first is empty.
    StackId,
    /// An interned object place.
    ObjectId,
    /// How a value ended.
    OutcomeId,
    /// What a byte does to a node.
    ActionId,
}

impl StackId {
    /// The stack with nothing on it.
    pub const EMPTY: StackId = StackId(0);
}

/// Spaces that may (or must) come before the next token of JSON.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Gap {
    Optional(u8),
    Exactly(u8),
}

/// What an object has become: its formula on each track, its place, and (if wanted) its value.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ObjectState {
    pub(crate) formulas: Box<[FormulaId]>,
    pub(crate) place: Place,
    value: Option<ValueId>,
}

impl ObjectState {
    /// The formulas of the tracks that have not been given up.
    pub(crate) fn live_formulas(&self) -> impl Iterator<Item = FormulaId> {
        self.formulas
            .iter()
            .copied()
            .filter(|f| *f != FormulaId::FALSE)
    }
}

/// Where between two tokens of an object or array the text is.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Phase {
    /// After the opening bracket.
    Open,
    /// After a property or item.
    Between,
    /// After a comma.
    Comma,
}

/// What a string's end means.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    Value,
    Key(ObjectId),
}

/// One level of the text being read.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Node {
    /// The text has ended.
    End,
    /// Below the outermost value.
    Root,
    /// Before a value that must fulfil, on each track, a formula; `kept`: its value must be known.
    Start {
        goals: Box<[FormulaId]>,
        gap: Gap,
        kept: bool,
    },
    /// Inside `null`, `true` or `false`.
    Literal {
        kind: Kind,
        read: u8,
        alive: Box<[bool]>,
    },
    Number {
        states: Box<[Option<(NumberLanguageId, NumberState)>]>,
        read: Option<TextId>,
    },
    /// `read`: what was read so far, where that matters; `bits`: of a code point that is not whole.
    Text {
        shape: ShapeId,
        role: Role,
        read: Option<TextId>,
        bits: u32,
    },
    Object {
        object: ObjectId,
        phase: Phase,
        gap: Gap,
    },
    /// After a key, before its colon.
    Colon {
        object: ObjectId,
        key: TextId,
        gap: Gap,
    },
    /// Below the value of a property.
    Property { object: ObjectId, key: TextId },
    Array {
        formulas: Box<[FormulaId]>,
        phase: Phase,
        gap: Gap,
        value: Option<ValueId>,
    },
    /// Below an item.
    Item {
        formulas: Box<[FormulaId]>,
        value: Option<ValueId>,
    },
}

/// How a value ended: on which tracks it fulfilled the formula, and what it was if that is kept.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Outcome {
    accepted: Box<[bool]>,
    value: Option<ValueId>,
}

/// What a byte does to the node on top.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    Dead,
    To(NodeId),
    /// The same, and a key is one unit longer.
    Spell {
        to: NodeId,
        unit: Unit,
    },
    /// The same, and the key was a declared one.
    Recall(NodeId),
    /// The same, and the key was an undeclared one.
    Name(NodeId),
    /// The node becomes `below`, and `above` stands on it.
    Push {
        below: NodeId,
        above: NodeId,
    },
    /// The value ended with this byte.
    Close(OutcomeId),
    /// The value ended before this byte.
    Yield(OutcomeId),
}

impl Action {
    /// The node that the one on top becomes, with the same stack below.
    pub fn target(self) -> Option<NodeId> {
        match self {
            Action::To(to) | Action::Spell { to, .. } | Action::Recall(to) | Action::Name(to) => {
                Some(to)
            }
            _ => None,
        }
    }
}

/// A place in the text: the node on top, and the stack below.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Configuration {
    pub top: NodeId,
    pub below: StackId,
    pub memory: MemoryId,
}

impl Configuration {
    /// The place of a reader that has none.
    pub const NOWHERE: Configuration = Configuration {
        top: NodeId(0),
        below: StackId::EMPTY,
        memory: MemoryId::BLANK,
    };

    /// The same place for whoever does not mind which undeclared keys there were.
    pub fn without_memory(self) -> Self {
        Configuration {
            memory: MemoryId::BLANK,
            ..self
        }
    }
}

/// All states met so far.
pub struct Machine {
    pub(crate) shapes: Shapes,
    pub(crate) live_sets: IdMap<RegexId, Arc<CharSet>>,
    pub(crate) near_shapes: IdMap<ShapeId, ShapeId>,
    pub(crate) listed: IdMap<ShapeId, Option<Listed>>,
    pub(crate) undying: IdMap<RegexId, bool>,
    pub(crate) farthest_ends: IdMap<RegexId, Option<u32>>,
    nodes: Interner<Node, NodeId>,
    stacks: Interner<Option<(NodeId, StackId)>, StackId>,
    objects: Interner<ObjectState, ObjectId>,
    outcomes: Interner<Outcome, OutcomeId>,
    /// What bytes do to nodes, by number from 1; by node and byte, 0 where it is not known yet.
    known_actions: Interner<Action, ActionId>,
    actions: Vec<Option<Box<[u32; 256]>>>,
    /// Nodes of which some action is known.
    rows: usize,
    resumed: IdMap<(NodeId, OutcomeId), Option<NodeId>>,
    pub(crate) key_tracks: IdMap<ObjectId, Arc<KeyTracks>>,
    pub(crate) memories: Memories,
    endings: Endings,
    /// Bytes of the texts that nodes keep while they are read, about.
    text_bytes: usize,
    start: Configuration,
}

impl Default for Machine {
    fn default() -> Self {
        let mut stacks = Interner::default();
        stacks.intern(None);
        Machine {
            shapes: Shapes::default(),
            live_sets: IdMap::default(),
            near_shapes: IdMap::default(),
            listed: IdMap::default(),
            undying: IdMap::default(),
            farthest_ends: IdMap::default(),
            nodes: Interner::default(),
            stacks,
            objects: Interner::default(),
            outcomes: Interner::default(),
            known_actions: Interner::default(),
            actions: Vec::new(),
            rows: 0,
            resumed: IdMap::default(),
            key_tracks: IdMap::default(),
            memories: Memories::default(),
            endings: Endings::default(),
            text_bytes: 0,
            start: Configuration::NOWHERE,
        }
    }
}

impl Machine {
    /// The node with an id.
    pub fn node(&self, id: NodeId) -> &Arc<Node> {
        self.nodes.get(id)
    }

    /// About how many bytes the states take.
    pub fn learnt_bytes(&self) -> usize {
        const STATE: usize = 160;
        const ROW: usize = 1024;
        let states = self.nodes.len() + self.stacks.len() + self.objects.len() + self.resumed.len();
        STATE * (states + self.outcomes.len())
            + self.text_bytes
            + ROW * self.rows
            + self.shapes.bytes()
            + self.memories.bytes()
    }

    /// The node on top of a stack and the stack below it; None for the empty one.
    pub(crate) fn stack(&self, id: StackId) -> Option<(NodeId, StackId)> {
        **self.stacks.get(id)
    }

    /// The stack of a node on another.
    pub(crate) fn intern_stack(&mut self, node: NodeId, below: StackId) -> StackId {
        self.stacks.intern(Some((node, below)))
    }

    /// The id of a node, old or new.
    pub(crate) fn intern_node(&mut self, node: Node) -> NodeId {
        self.nodes.intern(node)
    }

    /// The place of an object.
    pub(crate) fn object(&self, id: ObjectId) -> &Arc<ObjectState> {
        self.objects.get(id)
    }

    fn known(&self, id: NodeId, byte: u8) -> Option<Action> {
        let actions = self.actions.get(usize::from(id))?.as_ref()?;
        let number = actions[byte as usize].checked_sub(1)?;
        Some(**self.known_actions.get(ActionId(number)))
    }

    fn learn(&mut self, id: NodeId, byte: u8, action: Action) {
        let at = usize::from(id);
        if self.actions.len() <= at {
            self.actions.resize_with(at + 1, || None);
        }
        let number = self.known_actions.intern(action).0 + 1;
        self.rows += usize::from(self.actions[at].is_none());
        self.actions[at].get_or_insert_with(|| Box::new([0; 256]))[byte as usize] = number;
    }
}

impl Node {
    /// Whether a byte could do anything here, without working out what.
    pub fn may_begin_with(&self, byte: u8) -> bool {
        let space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match self {
            Node::Start { .. } => {
                space
                    || matches!(
                        byte,
                        b'"' | b'-' | b'0'..=b'9' | b'[' | b'{' | b'n' | b't' | b'f'
                    )
            }
            Node::Array { .. } => {
                space
                    || matches!(
                        byte,
                        b',' | b']' | b'"' | b'-' | b'0'..=b'9' | b'[' | b'{' | b'n' | b't' | b'f'
                    )
            }
            Node::Object { .. } => space || matches!(byte, b'"' | b',' | b'}'),
            Node::Colon { .. } => space || byte == b':',
            Node::Text { .. } | Node::Number { .. } | Node::Literal { .. } => true,
            Node::End | Node::Root | Node::Property { .. } | Node::Item { .. } => false,
        }
    }
}

impl Grammar {
    /// Makes the place where every text begins.
    pub(crate) fn start(&mut self) {
        let root = self.machine.nodes.intern(Node::Root);
        let below = self.machine.stacks.intern(Some((root, StackId::EMPTY)));
        let gap = Gap::Exactly(0);
        let top = Node::Start {
            goals: [self.root].into(),
            gap,
            kept: false,
        };
        self.machine.start = Configuration {
            top: self.machine.nodes.intern(top),
            below,
            memory: self.first_memory(),
        };
    }

    /// Where every text begins.
    pub fn first_configuration(&self) -> Configuration {
        self.machine.start
    }

    /// Whether the text may end here.
    pub fn may_end(&mut self, at: Configuration) -> bool {
        if matches!(**self.machine.node(at.top), Node::End) {
            return true;
        }
        // Only a number ends without a byte of its own.
        let Some(outcome) = self.number_outcome(at.top) else {
            return false;
        };
        let Some((below, _)) = **self.machine.stacks.get(at.below) else {
            return false;
        };
        let next = self.resume(below, outcome);
        next.is_some_and(|n| matches!(**self.machine.node(n), Node::End))
    }

    /// Where a byte leads, or None where no fulfilling text goes on so.
    pub fn step(&mut self, at: Configuration, byte: u8) -> Option<Configuration> {
        match self.action(at.top, byte) {
            Action::Dead => None,
            Action::To(top) => Some(Configuration { top, ..at }),
            Action::Spell { to: top, unit } => Some(Configuration {
                top,
                memory: self.machine.memories.spell(at.memory, unit),
                ..at
            }),
            Action::Recall(top) => Some(Configuration {
                top,
                memory: self.machine.memories.forget_key(at.memory),
                ..at
            }),
            Action::Name(top) => Some(Configuration {
                top,
                memory: self.name_key(at.memory)?,
                ..at
            }),
            Action::Push { below, above: top } => Some(Configuration {
                top,
                below: self.machine.stacks.intern(Some((below, at.below))),
                memory: self.open_memory(at.memory),
            }),
            Action::Close(outcome) => self.pop(at, outcome),
            Action::Yield(outcome) => {
                let next = self.pop(at, outcome)?;
                self.step(next, byte)
            }
        }
    }

    /// Where a text leads that goes on with these bytes and ends, if that is known without reading
    /// them: its shape before the quote says whether it may.
    pub(crate) fn leave_text(
        &mut self,
        at: Configuration,
        before: ShapeId,
        rest: &[u8],
    ) -> Option<Configuration> {
        let node = Arc::clone(self.machine.node(at.top));
        match *node {
            Node::Text {
                role: Role::Value,
                read: None,
                ..
            } => {
                let top = Node::Text {
                    shape: before,
                    role: Role::Value,
                    read: None,
                    bits: 0,
                };
                let top = self.machine.nodes.intern(top);
                self.step(Configuration { top, ..at }, b'"')
            }
            Node::Text {
                role: Role::Key(object),
                read,
                shape,
                ..
            } => {
                let top = self.leave_key((object, shape), read, before, rest)?;
                Some(Configuration { top, ..at })
            }
            _ => None,
        }
    }

    /// The node of the same text with another shape, to which undeclared keys alone lead.
    pub(crate) fn with_shape(&mut self, id: NodeId, shape: ShapeId) -> NodeId {
        let Node::Text { role, read, .. } = **self.machine.node(id) else {
            return id;
        };
        let is_kept = match role {
            Role::Value => true,
            Role::Key(object) => self.key_tracks(object).is_text_kept,
        };
        self.machine.nodes.intern(Node::Text {
            shape,
            role,
            read: read.filter(|_| is_kept),
            bits: 0,
        })
    }

    /// Whether a text is an item of an array that must not repeat one, or part of one, and all that
    /// it may become are as good as each other: new ones, among endlessly many, of which only those
    /// take note that are compared with a later item.
    pub(crate) fn ends_fresh_item(&mut self, at: Configuration) -> bool {
        let node = Arc::clone(self.machine.node(at.top));
        let Node::Text {
            shape,
            role: Role::Value,
            read: Some(_),
            ..
        } = *node
        else {
            return false;
        };
        let languages = self.machine.shapes.get(shape).languages.clone();
        let mut live = languages.iter().filter(|l| **l != Regexes::NEVER);
        self.are_items_alike(at.below) && live.all(|language| self.is_endless(*language))
    }

    /// Whether all arrays that a value is compared in ask the same of every later item.
    fn are_items_alike(&mut self, mut stack: StackId) -> bool {
        while let Some((node, below)) = **self.machine.stacks.get(stack) {
            match &*Arc::clone(self.machine.node(node)) {
                Node::Property { object, .. } if self.machine.object(*object).value.is_some() => {}
                Node::Item {
                    formulas,
                    value: Some(_),
                } => {
                    let are_compared = formulas.iter().any(|f| self.compares_items(*f));
                    if are_compared && !formulas.iter().all(|f| self.takes_items_alike(*f)) {
                        return false;
                    }
                }
                _ => break,
            }
            stack = below;
        }
        true
    }

    /// Whether an array's formula asks the same of every item from here on, and that none repeats.
    fn takes_items_alike(&self, formula: FormulaId) -> bool {
        self.conjuncts(formula)
            .into_iter()
            .all(|part| match &**self.formulas.get(part) {
                Formula::True | Formula::False | Formula::Unique(_) => true,
                Formula::ItemCount { .. } => true,
                Formula::Items {
                    table,
                    from,
                    violated: false,
                } => self.formulas.item_tables.get(*table).prefix.len() <= *from as usize,
                _ => false,
            })
    }

    /// Whether all ways out of a text that have this shape before the quote lead to one place.
    pub(crate) fn leaves_alike(&mut self, id: NodeId, before: ShapeId) -> bool {
        match **self.machine.node(id) {
            Node::Text {
                role: Role::Value,
                read,
                ..
            } => read.is_none(),
            Node::Text {
                role: Role::Key(object),
                ..
            } => {
                !self.key_tracks(object).is_text_kept
                    && self.accepted(before).first() != Some(&true)
            }
            _ => false,
        }
    }

    fn pop(&mut self, at: Configuration, outcome: OutcomeId) -> Option<Configuration> {
        let (node, below) = (**self.machine.stacks.get(at.below))?;
        Some(Configuration {
            top: self.resume(node, outcome)?,
            below,
            memory: self.machine.memories.close(at.memory),
        })
    }

    pub(crate) fn action(&mut self, id: NodeId, byte: u8) -> Action {
        if let Some(known) = self.machine.known(id, byte) {
            return known;
        }
        if !self.spend(1) {
            return Action::Dead;
        }
        let node = Arc::clone(self.machine.node(id));
        let action = self.work_out_action(&node, byte);
        if !self.is_void() {
            self.machine.learn(id, byte, action);
        }
        action
    }

    fn work_out_action(&mut self, node: &Node, byte: u8) -> Action {
        if let Some(after_space) = self.skip_space(node, byte) {
            return after_space;
        }
        match node {
            Node::End | Node::Root | Node::Property { .. } | Node::Item { .. } => Action::Dead,
            Node::Start { goals, kept, .. } => self.begin_value(goals, *kept, byte),
            Node::Literal { kind, read, alive } => self.step_literal(*kind, *read, alive, byte),
            Node::Number { states, read } => self.step_number(states, *read, byte),
            Node::Text {
                shape,
                role,
                read,
                bits,
            } => self.step_text(*shape, *role, (*read, *bits), byte),
            Node::Object { object, phase, .. } => self.step_object(*object, *phase, byte),
            Node::Colon { object, key, .. } if byte == b':' => self.begin_property(*object, *key),
            Node::Colon { .. } => Action::Dead,
            Node::Array {
                formulas,
                phase,
                value,
                ..
            } => self.step_array(formulas, *phase, *value, byte),
        }
    }

    /// Whitespace, where the node has room for it; every other byte ends an optional gap.
    fn skip_space(&mut self, node: &Node, byte: u8) -> Option<Action> {
        let gap = match node {
            Node::Start { gap, .. }
            | Node::Object { gap, .. }
            | Node::Colon { gap, .. }
            | Node::Array { gap, .. } => *gap,
            _ => return None,
        };
        let left = match gap {
            Gap::Exactly(0) | Gap::Optional(0) => return None,
            Gap::Exactly(n) if byte == b' ' => Gap::Exactly(n - 1),
            Gap::Exactly(_) => return Some(Action::Dead),
            Gap::Optional(n) if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') => {
                Gap::Optional(n - 1)
            }
            Gap::Optional(_) => return None,
        };
        let mut next = node.clone();
        match &mut next {
            Node::Start { gap, .. }
            | Node::Object { gap, .. }
            | Node::Colon { gap, .. }
            | Node::Array { gap, .. } => *gap = left,
            _ => {}
        }
        Some(Action::To(self.machine.nodes.intern(next)))
    }

    pub(crate) fn gap(&self, spaces: u8) -> Gap {
        match self.writing.whitespace {
            Whitespace::Compact => Gap::Exactly(spaces),
            Whitespace::Bounded(most) => Gap::Optional(most),
        }
    }

    pub(crate) fn to(&mut self, node: Node) -> Action {
        Action::To(self.machine.nodes.intern(node))
    }

    fn close(&mut self, accepted: Box<[bool]>, value: Option<Value>) -> Action {
        if !accepted.contains(&true) {
            return Action::Dead;
        }
        let value = value.map(|v| self.formulas.values.intern(v));
        Action::Close(self.machine.outcomes.intern(Outcome { accepted, value }))
    }

    // Values.

    fn begin_value(&mut self, goals: &[FormulaId], kept: bool, byte: u8) -> Action {
        let kind = match byte {
            b'n' => Kind::Null,
            b't' => Kind::True,
            b'f' => Kind::False,
            b'"' => Kind::String,
            b'-' | b'0'..=b'9' => Kind::Number,
            b'[' => Kind::Array,
            b'{' => Kind::Object,
            _ => return Action::Dead,
        };
        let left: Box<[FormulaId]> = goals
            .iter()
            .map(|g| {
                if self.is_satisfiable_as(*g, kind) {
                    self.formulas.restrict(*g, kind)
                } else {
                    FormulaId::FALSE
                }
            })
            .collect();
        if left.iter().all(|f| *f == FormulaId::FALSE) {
            return Action::Dead;
        }
        let gap = self.gap(0);
        match kind {
            Kind::Null | Kind::True | Kind::False => {
                let alive = left.iter().map(|f| *f == FormulaId::TRUE).collect();
                self.to(Node::Literal {
                    kind,
                    read: 1,
                    alive,
                })
            }
            Kind::String => self.begin_text(&left, kept),
            Kind::Number => self.begin_number(&left, kept, byte),
            Kind::Array => {
                let kept = kept || left.iter().any(|f| self.compares_items(*f));
                let value = kept.then(|| self.formulas.values.intern(Value::Array(Vec::new())));
                self.to(Node::Array {
                    formulas: left,
                    phase: Phase::Open,
                    gap,
                    value,
                })
            }
            Kind::Object => {
                let value = kept.then(|| self.formulas.values.intern(Value::Object(Vec::new())));
                // Objects that are compared are told apart by all their keys.
                let first = self.first_place(&left);
                let is_frugal = first.is_frugal || kept;
                let place = Place { is_frugal, ..first };
                let object = self.machine.objects.intern(ObjectState {
                    formulas: left,
                    place,
                    value,
                });
                self.to(Node::Object {
                    object,
                    phase: Phase::Open,
                    gap,
                })
            }
        }
    }

    fn step_literal(&mut self, kind: Kind, read: u8, alive: &[bool], byte: u8) -> Action {
        let (text, value): (&[u8], Value) = match kind {
            Kind::Null => (b"null", Value::Null),
            Kind::True => (b"true", Value::Bool(true)),
            _ => (b"false", Value::Bool(false)),
        };
        if text.get(read as usize) != Some(&byte) {
            Action::Dead
        } else if read as usize + 1 == text.len() {
            self.close(alive.into(), Some(value))
        } else {
            self.to(Node::Literal {
                kind,
                read: read + 1,
                alive: alive.into(),
            })
        }
    }

    fn begin_number(&mut self, left: &[FormulaId], kept: bool, byte: u8) -> Action {
        let states: Box<[_]> = left
            .iter()
            .map(|f| {
                (*f != FormulaId::FALSE).then(|| {
                    let language = self.number_language(*f);
                    (
                        language,
                        self.number_languages[usize::from(language)].start(),
                    )
                })
            })
            .collect();
        let read = kept.then(|| self.formulas.texts.intern(String::new()));
        self.step_number(&states, read, byte)
    }

    fn step_number(
        &mut self,
        states: &[Option<(NumberLanguageId, NumberState)>],
        read: Option<TextId>,
        byte: u8,
    ) -> Action {
        let next: Box<[_]> = states
            .iter()
            .map(|tracked| {
                let (language, state) = tracked.as_ref()?;
                Some((
                    *language,
                    self.number_languages[usize::from(*language)].step(state, byte)?,
                ))
            })
            .collect();
        if next.iter().any(Option::is_some) {
            let read = read.map(|text| self.append(text, byte as char));
            return self.to(Node::Number { states: next, read });
        }
        match self.number_accepted(states, read) {
            Some(outcome) => Action::Yield(outcome),
            None => Action::Dead,
        }
    }

    fn number_outcome(&mut self, id: NodeId) -> Option<OutcomeId> {
        let node = Arc::clone(self.machine.node(id));
        let Node::Number { states, read } = &*node else {
            return None;
        };
        self.number_accepted(states, *read)
    }

    fn number_accepted(
        &mut self,
        states: &[Option<(NumberLanguageId, NumberState)>],
        read: Option<TextId>,
    ) -> Option<OutcomeId> {
        let accepts = |tracked: &Option<(NumberLanguageId, NumberState)>| {
            tracked
                .as_ref()
                .is_some_and(|(l, s)| self.number_languages[usize::from(*l)].is_accepting(s))
        };
        let accepted: Box<[bool]> = states.iter().map(accepts).collect();
        if !accepted.contains(&true) {
            return None;
        }
        let number = read.and_then(|text| Decimal::parse(self.formulas.texts.get(text)).ok());
        let value = number.map(Value::Number);
        let value = value.map(|v| self.formulas.values.intern(v));
        Some(self.machine.outcomes.intern(Outcome { accepted, value }))
    }

    /// A text that is kept, and one more character: a copy, so that long ones cost fuel and room.
    fn append(&mut self, text: TextId, character: char) -> TextId {
        let text = Arc::clone(self.formulas.texts.get(text));
        self.spend_steps(text.len());
        let mut longer = String::with_capacity(text.len() + character.len_utf8());
        longer.push_str(&text);
        longer.push(character);
        self.machine.text_bytes += longer.len();
        self.formulas.texts.intern(longer)
    }

    // Strings.

    fn begin_text(&mut self, left: &[FormulaId], kept: bool) -> Action {
        let languages = left
            .iter()
            .map(|f| {
                if *f == FormulaId::FALSE {
                    Regexes::NEVER
                } else {
                    self.formulas.text_language(*f)
                }
            })
            .collect();
        let shape = self.machine.shapes.intern(languages, Lexeme::Plain);
        let read = kept.then(|| self.formulas.texts.intern(String::new()));
        self.to(Node::Text {
            shape,
            role: Role::Value,
            read,
            bits: 0,
        })
    }

    fn step_text(
        &mut self,
        shape: ShapeId,
        role: Role,
        (read, bits): (Option<TextId>, u32),
        byte: u8,
    ) -> Action {
        match (self.shape_step(shape, byte), role) {
            (ShapeStep::Unknown | ShapeStep::Dead, _) => Action::Dead,
            (ShapeStep::To(next), Role::Key(object)) => {
                self.spell_key(object, (shape, next), (read, bits), byte)
            }
            (ShapeStep::To(next), Role::Value) => {
                let (read, bits) = self.read_on(shape, read, bits, byte);
                self.to(Node::Text {
                    shape: next,
                    role,
                    read,
                    bits,
                })
            }
            (ShapeStep::Close, Role::Key(object)) => self.end_key(object, shape, read),
            (ShapeStep::Close, Role::Value) => {
                let value = read.map(|t| Value::String((**self.formulas.texts.get(t)).clone()));
                let accepted = self.accepted(shape);
                self.close(accepted, value)
            }
        }
    }

    /// What has been read after one more byte, where that is kept: a text, and the bits of a code
    /// point that is not whole (the shape's own may stand for others that mean the same).
    pub(crate) fn read_on(
        &mut self,
        shape: ShapeId,
        read: Option<TextId>,
        bits: u32,
        byte: u8,
    ) -> (Option<TextId>, u32) {
        let Some(text) = read else {
            return (None, 0);
        };
        let tail = bits << 6 | u32::from(byte & 0x3F);
        let (character, bits) = match self.machine.shapes.get(shape).lexeme {
            Lexeme::Plain if byte >= 0xF0 => (None, u32::from(byte & 0x07)),
            Lexeme::Plain if byte >= 0xE0 => (None, u32::from(byte & 0x0F)),
            Lexeme::Plain if byte >= 0xC0 => (None, u32::from(byte & 0x1F)),
            Lexeme::Utf8 { left: 1, .. } => (char::from_u32(tail), 0),
            Lexeme::Utf8 { .. } => (None, tail),
            lexeme => (lexeme.completed(byte).and_then(char::from_u32), 0),
        };
        let read = character.map_or(text, |c| self.append(text, c));
        (Some(read), bits)
    }

    // Objects.

    fn step_object(&mut self, object: ObjectId, phase: Phase, byte: u8) -> Action {
        match (byte, phase) {
            (b'"', Phase::Open | Phase::Comma) => self.begin_key(object),
            (b',', Phase::Between) => {
                let tracks = self.key_tracks(object);
                let gap = self.gap(self.writing.item_spaces);
                if tracks.is_empty() {
                    Action::Dead
                } else {
                    self.to(Node::Object {
                        object,
                        phase: Phase::Comma,
                        gap,
                    })
                }
            }
            (b'}', Phase::Open | Phase::Between) => {
                let state = Arc::clone(self.machine.objects.get(object));
                let accepted = state
                    .formulas
                    .iter()
                    .map(|f| self.may_end_with(*f))
                    .collect();
                let value = state.value.map(|v| (**self.formulas.values.get(v)).clone());
                self.close(accepted, value)
            }
            _ => Action::Dead,
        }
    }

    fn begin_property(&mut self, object: ObjectId, key: TextId) -> Action {
        let state = Arc::clone(self.machine.objects.get(object));
        let goals = self
            .tracked_branches(&state, key)
            .iter()
            .map(|(_, b)| b.child)
            .collect();
        let below = self.machine.nodes.intern(Node::Property { object, key });
        let gap = self.gap(self.writing.key_spaces);
        let above = Node::Start {
            goals,
            gap,
            kept: state.value.is_some(),
        };
        Action::Push {
            below,
            above: self.machine.nodes.intern(above),
        }
    }

    /// The live branches of all tracks, each with its track.
    fn tracked_branches(&mut self, state: &ObjectState, key: TextId) -> Vec<(usize, Branch)> {
        let mut all = Vec::new();
        for (track, formula) in state.formulas.iter().enumerate() {
            let live = self.live_branches(*formula, state.place, key);
            all.extend(live.into_iter().map(|b| (track, b)));
        }
        all
    }

    // Arrays.

    fn step_array(
        &mut self,
        formulas: &[FormulaId],
        phase: Phase,
        value: Option<ValueId>,
        byte: u8,
    ) -> Action {
        match (byte, phase) {
            (b']', Phase::Open | Phase::Between) => {
                let accepted = formulas.iter().map(|f| self.may_end_with(*f)).collect();
                let value = value.map(|v| (**self.formulas.values.get(v)).clone());
                self.close(accepted, value)
            }
            (b',', Phase::Between) if !self.item_tracks(formulas).is_empty() => {
                let gap = self.gap(self.writing.item_spaces);
                self.to(Node::Array {
                    formulas: formulas.into(),
                    phase: Phase::Comma,
                    gap,
                    value,
                })
            }
            (b',' | b']', _) => Action::Dead,
            (_, Phase::Open | Phase::Comma) => self.begin_item(formulas, value, byte),
            _ => Action::Dead,
        }
    }

    fn item_tracks(&mut self, formulas: &[FormulaId]) -> Vec<(usize, Branch)> {
        let mut all = Vec::new();
        for (track, formula) in formulas.iter().enumerate() {
            let branches = self.item_branches(*formula);
            for branch in branches.iter() {
                if self.is_satisfiable(branch.child) && self.can_array_end(branch.rest) {
                    all.push((track, *branch));
                }
            }
        }
        all
    }

    fn begin_item(&mut self, formulas: &[FormulaId], value: Option<ValueId>, byte: u8) -> Action {
        let goals: Vec<_> = self
            .item_tracks(formulas)
            .iter()
            .map(|(_, b)| b.child)
            .collect();
        match self.begin_value(&goals, value.is_some(), byte) {
            Action::To(above) => {
                let below = self.machine.nodes.intern(Node::Item {
                    formulas: formulas.into(),
                    value,
                });
                Action::Push { below, above }
            }
            _ => Action::Dead,
        }
    }

    fn may_end_with(&mut self, formula: FormulaId) -> bool {
        formula != FormulaId::FALSE && self.may_end_formula(formula)
    }

    /// What the node below becomes when the value above it has ended so.
    pub(crate) fn resume(&mut self, below: NodeId, outcome: OutcomeId) -> Option<NodeId> {
        if let Some(known) = self.machine.resumed.get(&(below, outcome)) {
            return *known;
        }
        let (node, ended) = (
            Arc::clone(self.machine.node(below)),
            Arc::clone(self.machine.outcomes.get(outcome)),
        );
        let next = match &*node {
            Node::Root => ended.accepted.contains(&true).then_some(Node::End),
            Node::Property { object, key } => self.resume_object(*object, *key, &ended),
            Node::Item { formulas, value } => self.resume_array(formulas, *value, &ended),
            _ => None,
        };
        let next = next.map(|n| self.machine.nodes.intern(n));
        if !self.is_void() {
            self.machine.resumed.insert((below, outcome), next);
        }
        next
    }

    fn resume_object(&mut self, object: ObjectId, key: TextId, ended: &Outcome) -> Option<Node> {
        let state = Arc::clone(self.machine.objects.get(object));
        let branches = self.tracked_branches(&state, key);
        let formulas = self.survivors(state.formulas.len(), &branches, ended)?;
        let value = match (state.value, ended.value) {
            (Some(object), Some(value)) => Some(self.with_property(object, key, value)),
            _ => None,
        };
        let place = self.place_after(state.place, key);
        let object = self.machine.objects.intern(ObjectState {
            formulas,
            place,
            value,
        });
        Some(Node::Object {
            object,
            phase: Phase::Between,
            gap: self.gap(0),
        })
    }

    fn resume_array(
        &mut self,
        formulas: &[FormulaId],
        value: Option<ValueId>,
        ended: &Outcome,
    ) -> Option<Node> {
        let branches = self.item_tracks(formulas);
        let mut formulas = self.survivors(formulas.len(), &branches, ended)?;
        let value = match (value, ended.value) {
            (Some(array), Some(item)) => {
                formulas
                    .iter_mut()
                    .for_each(|f| *f = self.remember_item(*f, item));
                Some(self.with_item(array, item))
            }
            _ => None,
        };
        Some(Node::Array {
            formulas,
            phase: Phase::Between,
            gap: self.gap(0),
            value,
        })
    }

    /// What each of the parent's tracks may still become, given how its branches' children ended.
    fn survivors(
        &mut self,
        tracks: usize,
        branches: &[(usize, Branch)],
        ended: &Outcome,
    ) -> Option<Box<[FormulaId]>> {
        let mut left = vec![Vec::new(); tracks];
        for ((track, branch), accepted) in branches.iter().zip(&ended.accepted) {
            if *accepted {
                left[*track].push(branch.rest);
            }
        }
        let formulas: Box<[_]> = left
            .into_iter()
            .map(|rests| self.formulas.or(rests))
            .collect();
        formulas
            .iter()
            .any(|f| *f != FormulaId::FALSE)
            .then_some(formulas)
    }

    fn with_property(&mut self, object: ValueId, key: TextId, value: ValueId) -> ValueId {
        let mut object = (**self.formulas.values.get(object)).clone();
        if let Value::Object(properties) = &mut object {
            let key = (**self.formulas.texts.get(key)).clone();
            properties.push((key, (**self.formulas.values.get(value)).clone()));
        }
        self.formulas.values.intern(object)
    }

    fn with_item(&mut self, array: ValueId, item: ValueId) -> ValueId {
        let mut array = (**self.formulas.values.get(array)).clone();
        if let Value::Array(items) = &mut array {
            items.push((**self.formulas.values.get(item)).clone());
        }
        self.formulas.values.intern(array)
    }
}
