//! Answers that are plain text: the whole answer belongs to a language of code points.
//!
//! A *character machine* reads code points and numbers its places; no step of it leads to where no
//! text can end. `bytes` puts UTF-8 below it, so that a byte that cannot become a code point that
//! may follow is refused at once, and `mask` walks the vocabulary's trie over that. `expression` is
//! the machine of a regular expression; the one of a grammar is in `lark`. `quoted` reads what
//! either of them reads as JSON strings spell it.

mod bytes;
mod expression;
mod mask;
mod quoted;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::charset::CharSet;
use crate::error::EngineError;
use crate::formula::ids;
use crate::grammar::Exhausted;
use crate::index::Options;
use crate::machine::{Configuration, NodeId, StackId};
use crate::mask::Mask;
use crate::memory::MemoryId;
use crate::reader::Reader;
use crate::vocabulary::Vocabulary;
use bytes::{ByteMachine, ByteState};
use expression::Expression;
pub(crate) use expression::{MAX_REGEX_NODES, too_large};
use mask::TextMasks;
use quoted::Quoted;

ids! {
    /// A place of a character machine, numbered as it was met.
    Place,
}

/// Reads code points.
pub(crate) trait CharacterMachine: Send {
    /// Where every text begins.
    fn start(&self) -> Place;

    /// Where a code point leads, or None where no text goes on so.
    fn step(&mut self, at: Place, code_point: u32) -> Option<Place>;

    /// Sets of code points beyond ASCII within each of which steps agree; the others lead nowhere.
    fn classes(&mut self, at: Place) -> Vec<CharSet>;

    /// Whether the text may end here.
    fn may_end(&self, at: Place) -> bool;

    /// A place at which the same texts of at most `reach` code points may follow.
    fn near(&mut self, at: Place, reach: u32) -> Place;

    /// Gives the machine its fuel for the next piece of work.
    fn refuel(&mut self, fuel: u64);

    /// The fuel that is left.
    fn fuel_left(&self) -> u64;

    /// The limit that was reached, if one was: steps since do not count.
    fn limit_reached(&self) -> Option<Exhausted>;

    /// Whether it can learn no more.
    fn is_full(&self) -> bool;

    /// About how many bytes it has learnt.
    fn learnt_bytes(&self) -> usize;
}

/// The reader of a regular expression that the whole text matches.
///
/// # Errors
///
/// `Malformed` with the offset, `Unsupported` with the construct, `TooLarge` for a limit.
pub(crate) fn expression_reader(
    pattern: &str,
    options: &Options,
) -> Result<Box<dyn Reader>, EngineError> {
    let machine = Expression::compile(pattern, &options.budget)?;
    Ok(reader_over(machine, options))
}

/// The reader of what a machine reads, spelled as the options want it.
pub(crate) fn reader_over<M: CharacterMachine + 'static>(
    machine: M,
    options: &Options,
) -> Box<dyn Reader> {
    match options.in_json_string {
        true => Box::new(TextReader::new(Quoted::new(machine))),
        false => Box::new(TextReader::new(machine)),
    }
}

/// Reads a text with a character machine.
pub(crate) struct TextReader<M> {
    bytes: ByteMachine<M>,
    masks: TextMasks,
}

impl<M: CharacterMachine> TextReader<M> {
    /// A reader that has met nothing yet.
    pub fn new(machine: M) -> Self {
        TextReader {
            bytes: ByteMachine::new(machine),
            masks: TextMasks::default(),
        }
    }
}

fn configuration(state: ByteState) -> Configuration {
    Configuration {
        memory: MemoryId::BLANK,
        top: NodeId(state.0),
        below: StackId::EMPTY,
    }
}

fn state(at: Configuration) -> ByteState {
    ByteState(at.top.0)
}

impl<M: CharacterMachine> Reader for TextReader<M> {
    fn start(&self) -> Configuration {
        configuration(self.bytes.start())
    }

    fn step(&mut self, at: Configuration, byte: u8) -> Option<Configuration> {
        self.bytes.step(state(at), byte).map(configuration)
    }

    fn may_end(&mut self, at: Configuration) -> bool {
        self.bytes.may_end(state(at))
    }

    fn mask(&mut self, vocabulary: &Vocabulary, at: Configuration) -> Arc<Mask> {
        self.masks.mask(&mut self.bytes, vocabulary, state(at))
    }

    fn limit_reached(&mut self) -> Option<Exhausted> {
        self.bytes.machine.limit_reached()
    }

    fn refuel(&mut self, fuel: u64) {
        self.bytes.machine.refuel(fuel);
    }

    fn fuel_left(&self) -> u64 {
        self.bytes.machine.fuel_left()
    }

    fn remembered(&mut self, at: Configuration) -> Option<(Arc<Mask>, bool)> {
        let mask = self.masks.find(&self.bytes, state(at))?;
        Some((mask, self.bytes.may_end(state(at))))
    }

    fn learnt_bytes(&self) -> usize {
        self.bytes.learnt_bytes() + self.masks.learnt_bytes()
    }

    fn is_full(&self) -> bool {
        self.bytes.machine.is_full()
    }
}
