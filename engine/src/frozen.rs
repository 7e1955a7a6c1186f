//! Reading with the tables of a filled index.
//!
//! Nodes have the numbers of the tables. What the tables do not hold is asked of a grammar that is
//! compiled then, once for the index: each node of the tables has its like there, and what is
//! learnt from it is read here from then on, as if it had been in the tables. So a filled index
//! says exactly what one that is compiled says. Memories are this reader's own: they are no part of
//! the tables. How masks are found is in `frozen_masks`.

use std::sync::Arc;
use std::time::Duration;

use crate::byte_set::ByteSet;
use crate::closing::Ending;
use crate::formula::{FormulaId, Formulas};
use crate::frozen_keys::KeyPlace;
use crate::frozen_live::Live;
use crate::frozen_parts::Part;
use crate::frozen_tables::Tables;
use crate::grammar::{Exhausted, Grammar, Limits, Writing};
use crate::hashing::IdMap;
use crate::machine::{Action, Configuration, NodeId, OutcomeId, StackId};
use crate::mask::{Mask, walk_json};
use crate::reader::{JsonReader, NextByte, Reader, last_bytes_of_json};
use crate::repeats::{Repeats, without_unread};
use crate::vocabulary::{Trie, Vocabulary};

/// Compiles the grammar that tables were filled from.
pub(crate) type Compile = Box<dyn Fn() -> Option<JsonReader> + Send>;

/// JSON, read with tables.
pub(crate) struct FrozenReader {
    pub(crate) tables: Arc<Tables>,
    compile: Compile,
    live: Option<Live>,
    /// Its grammar could not be compiled: nothing more can be learnt.
    is_dead: bool,
    fuel: u64,
    /// Only for memories and for what any JSON may be.
    pub(crate) blank: Grammar,
    stacks: Vec<(NodeId, StackId)>,
    stack_numbers: IdMap<(NodeId, StackId), StackId>,
    /// What was learnt since.
    actions: IdMap<(NodeId, u8), Action>,
    resumed: IdMap<(NodeId, OutcomeId), Option<NodeId>>,
    pub(crate) masks: IdMap<Configuration, Arc<Mask>>,
    /// Which suffixes of tokens can be read, by place.
    pub(crate) suffixes: IdMap<Configuration, Arc<[bool]>>,
    /// Closed parts and bases of the tables that were asked for.
    pub(crate) parts: Vec<Option<Arc<Part>>>,
    pub(crate) bases: Vec<Option<Arc<[u32]>>>,
    repeats: Repeats,
    pub(crate) bytes: usize,
}

impl FrozenReader {
    /// A reader with some tables.
    pub fn new(tables: Arc<Tables>, writing: Writing, compile: Compile) -> Self {
        let (parts, bases) = tables.part_counts();
        let mut reader = FrozenReader {
            compile,
            live: None,
            is_dead: false,
            fuel: u64::MAX,
            blank: Grammar::new(Formulas::new(), FormulaId::TRUE, writing, Limits::default()),
            stacks: vec![(NodeId(0), StackId::EMPTY)],
            stack_numbers: IdMap::default(),
            actions: IdMap::default(),
            resumed: IdMap::default(),
            masks: IdMap::default(),
            suffixes: IdMap::default(),
            parts: vec![None; parts],
            bases: vec![None; bases],
            repeats: Repeats::default(),
            bytes: 0,
            tables,
        };
        reader.push(reader.tables.start.1, StackId::EMPTY);
        reader
    }

    /// The compiled grammar; None where there is none.
    fn live(&mut self) -> Option<&mut Live> {
        if self.live.is_none() && !self.is_dead {
            let compiled = (self.compile)();
            self.live = compiled.map(|reader| Live::new(reader, &self.tables));
            self.is_dead = self.live.is_none();
            let fuel = self.fuel;
            self.live.iter_mut().for_each(|live| live.refuel(fuel));
        }
        self.live.as_mut()
    }

    #[inline]
    pub(crate) fn action(&mut self, node: NodeId, byte: u8) -> Action {
        match self.tables.action(node, byte) {
            Some(action) => action,
            None => self.learn_action(node, byte),
        }
    }

    #[cold]
    fn learn_action(&mut self, node: NodeId, byte: u8) -> Action {
        if let Some(known) = self.actions.get(&(node, byte)) {
            return *known;
        }
        let tables = Arc::clone(&self.tables);
        let live = self.live();
        let Some(learnt) = live.and_then(|live| live.action(&tables, node, byte)) else {
            return Action::Dead;
        };
        self.bytes += ENTRY;
        self.actions.insert((node, byte), learnt);
        learnt
    }

    fn resume(&mut self, below: NodeId, outcome: OutcomeId) -> Option<NodeId> {
        if let Some(known) = self.tables.resumed(below, outcome) {
            return known;
        }
        if let Some(known) = self.resumed.get(&(below, outcome)) {
            return *known;
        }
        let tables = Arc::clone(&self.tables);
        let learnt = self.live()?.resume(&tables, below, outcome)?;
        self.bytes += ENTRY;
        self.resumed.insert((below, outcome), learnt);
        learnt
    }

    fn push(&mut self, node: NodeId, below: StackId) -> StackId {
        let next = StackId(self.stacks.len() as u32);
        let number = *self.stack_numbers.entry((node, below)).or_insert(next);
        if number == next {
            self.stacks.push((node, below));
        }
        number
    }

    fn pop(&mut self, at: Configuration, outcome: OutcomeId) -> Option<Configuration> {
        if at.below == StackId::EMPTY {
            return None;
        }
        let (node, below) = *self.stacks.get(at.below.0 as usize)?;
        Some(Configuration {
            top: self.resume(node, outcome)?,
            below,
            memory: self.blank.machine.memories.close(at.memory),
        })
    }

    /// How a number that ends here has ended; None elsewhere.
    fn yielded(&mut self, node: NodeId) -> Option<OutcomeId> {
        // No number goes on with a comma.
        match self.action(node, b',') {
            Action::Yield(outcome) => Some(outcome),
            _ => None,
        }
    }

    fn is_end(&mut self, node: NodeId) -> bool {
        self.tables.end == Some(node) || self.live.as_ref().is_some_and(|live| live.is_end(node))
    }

    /// What the grammar says of a mask.
    pub(crate) fn ask_mask(
        &mut self,
        vocabulary: &Vocabulary,
        at: Configuration,
    ) -> Option<Arc<Mask>> {
        let (stack, tables) = (self.nodes_below(at.below), Arc::clone(&self.tables));
        self.live()?.mask(&tables, vocabulary, (at.top, &stack))
    }

    /// The nodes of a stack, the lowest first.
    fn nodes_below(&self, mut stack: StackId) -> Vec<NodeId> {
        let mut nodes = Vec::new();
        while stack != StackId::EMPTY {
            let Some((node, below)) = self.stacks.get(stack.0 as usize) else {
                break;
            };
            nodes.push(*node);
            stack = *below;
        }
        nodes.reverse();
        nodes
    }

    fn live_next_byte(&mut self, place: Configuration) -> NextByte {
        let live = self.live();
        live.map_or(NextByte::Nothing, |live| live.grammar().next_byte(place))
    }

    /// Collects the tokens among a range of a trie's nodes that can be read from a place that the
    /// tables do not hold.
    pub(crate) fn read_live(
        &mut self,
        (trie, range): (&Trie, (usize, usize)),
        at: Configuration,
        tokens: &mut Vec<u32>,
    ) {
        let place = self.live_place(at);
        if let Some((place, live)) = place.zip(self.live()) {
            walk_json(live.grammar(), trie, range, place, tokens);
        }
    }

    /// The same place in the compiled grammar.
    fn live_place(&mut self, at: Configuration) -> Option<Configuration> {
        let stack = self.nodes_below(at.below);
        self.live()?;
        let FrozenReader {
            live,
            blank,
            tables,
            ..
        } = self;
        let live = live.as_mut()?;
        live.place(tables, (at.top, &stack), (blank, at.memory))
    }
}

/// What an entry of a map takes besides its contents.
pub(crate) const ENTRY: usize = 64;

impl Reader for FrozenReader {
    fn start(&self) -> Configuration {
        Configuration {
            top: self.tables.start.0,
            below: StackId(1),
            memory: self.blank.first_configuration().memory,
        }
    }

    fn step(&mut self, mut at: Configuration, byte: u8) -> Option<Configuration> {
        loop {
            return match self.action(at.top, byte) {
                Action::Dead => None,
                Action::To(top) => Some(Configuration { top, ..at }),
                Action::Spell { to: top, unit } => {
                    let memory = self.blank.machine.memories.spell(at.memory, unit);
                    Some(Configuration { top, memory, ..at })
                }
                Action::Recall(top) => {
                    let memory = self.blank.machine.memories.forget_key(at.memory);
                    Some(Configuration { top, memory, ..at })
                }
                Action::Name(top) => {
                    let memory = self.blank.name_key(at.memory)?;
                    Some(Configuration { top, memory, ..at })
                }
                Action::Push { below, above } => Some(Configuration {
                    top: above,
                    below: self.push(below, at.below),
                    memory: self.blank.open_memory(at.memory),
                }),
                Action::Close(outcome) => self.pop(at, outcome),
                Action::Yield(outcome) => {
                    at = self.pop(at, outcome)?;
                    continue;
                }
            };
        }
    }

    fn next_byte(&mut self, at: Configuration) -> NextByte {
        if !self.tables.is_known(at.top) {
            let place = self.live_place(at);
            return place.map_or(NextByte::Nothing, |place| self.live_next_byte(place));
        }
        let (tables, mut next) = (Arc::clone(&self.tables), NextByte::Nothing);
        let row = tables.row(at.top);
        let is_dead = |byte: u8| row.is_some_and(|row| row[byte as usize] == 0);
        let keys = tables
            .key_place(at.top)
            .filter(|keys| keys.other().is_none());
        let bytes = keys.map_or_else(|| (0..=u8::MAX).collect(), KeyPlace::own_bytes);
        for byte in bytes.into_iter().filter(|byte| !is_dead(*byte)) {
            if self.step(at, byte).is_some() {
                next = next.or(NextByte::Only(byte));
            }
            if next == NextByte::Several {
                break;
            }
        }
        next
    }

    fn may_end(&mut self, at: Configuration) -> bool {
        if self.is_end(at.top) {
            return true;
        }
        let Some((below, StackId::EMPTY)) = self.stacks.get(at.below.0 as usize).copied() else {
            return false;
        };
        if at.below == StackId::EMPTY {
            return false;
        }
        let next = self
            .yielded(at.top)
            .and_then(|outcome| self.resume(below, outcome));
        next.is_some_and(|next| self.is_end(next))
    }

    fn mask(&mut self, vocabulary: &Vocabulary, at: Configuration) -> Arc<Mask> {
        let mask = self
            .mask_of_place(vocabulary, at.without_memory())
            .unwrap_or_default();
        if !self.blank.has_remembered(at.memory) {
            return mask;
        }
        if let Some(known) = self.repeats.known(at) {
            return known;
        }
        let suspects = self.repeats.suspects(&self.blank, vocabulary, at.memory);
        let is_read = |bytes: &[u8]| {
            let mut bytes = bytes.iter();
            let read = |at, byte: &u8| self.step(at, *byte);
            bytes.try_fold(at, read).is_some()
        };
        let mask = without_unread(vocabulary, &mask, &suspects, is_read);
        if self.limit_reached().is_none() {
            self.repeats.keep(at, &mask);
        }
        mask
    }

    fn limit_reached(&mut self) -> Option<Exhausted> {
        if self.is_dead {
            let limit = "compile_fuel";
            return Some(Exhausted {
                limit,
                maximum: self.fuel,
            });
        }
        self.live.as_mut().and_then(Live::limit_reached)
    }

    fn last_bytes(&mut self) -> ByteSet {
        last_bytes_of_json(self)
    }

    fn refuel(&mut self, fuel: u64) {
        self.fuel = fuel;
        self.live.iter_mut().for_each(|live| live.refuel(fuel));
    }

    fn fuel_left(&self) -> u64 {
        self.live.as_ref().map_or(self.fuel, Live::fuel_left)
    }

    fn remembered(&mut self, at: Configuration) -> Option<(Arc<Mask>, bool)> {
        let mask = match self.blank.has_remembered(at.memory) {
            true => self.repeats.known(at)?,
            false => self.masks.get(&at.without_memory()).cloned()?,
        };
        Some((mask, self.may_end(at)))
    }

    fn ending(&mut self, at: Configuration) -> Option<Ending> {
        let place = self.live_place(at)?;
        self.live()?.grammar().ending(place).map(Ending::of_text)
    }

    fn fill(&mut self, vocabulary: &Vocabulary, time: Duration) -> Option<Vec<u8>> {
        (self.compile)()?.fill(vocabulary, time)
    }

    fn learnt_bytes(&self) -> usize {
        let live = self.live.as_ref().map_or(0, Live::learnt_bytes);
        self.bytes
            + self.repeats.bytes()
            + ENTRY * self.stacks.len()
            + self.blank.learnt_bytes()
            + live
    }

    fn is_full(&self) -> bool {
        self.is_dead || self.live.as_ref().is_some_and(Live::is_full)
    }
}
