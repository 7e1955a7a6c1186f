//! What an index is read with: places in a text, the bytes between them, the masks at them.
//!
//! Each kind of input has a reader of its own behind this trait; an index and its cursors know no
//! more. Readers learn as they are used, so they are taken one at a time.

use std::sync::Arc;
use std::time::Duration;

use crate::byte_set::ByteSet;
use crate::closing::{Ending, search_ending};
use crate::fill::fill;
use crate::grammar::{Exhausted, Grammar, MASK_FUEL};
use crate::machine::Configuration;
use crate::mask::{Mask, Masks};
use crate::vocabulary::Vocabulary;

/// What byte may come next in a text.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum NextByte {
    /// None.
    #[default]
    Nothing,
    /// This one.
    Only(u8),
    /// One of several.
    Several,
}

impl NextByte {
    /// What may come where either may.
    pub fn or(self, other: NextByte) -> NextByte {
        match (self, other) {
            (NextByte::Nothing, next) | (next, NextByte::Nothing) => next,
            (one, other) if one == other => one,
            _ => NextByte::Several,
        }
    }
}

/// Reads texts byte by byte. A place is opaque to everybody but the reader that gave it out.
pub(crate) trait Reader: Send {
    /// Where every text begins.
    fn start(&self) -> Configuration;

    /// Where a byte leads, or None where no text of the grammar goes on so.
    fn step(&mut self, at: Configuration, byte: u8) -> Option<Configuration>;

    /// Whether the text may end here.
    fn may_end(&mut self, at: Configuration) -> bool;

    /// The tokens that may come next; whether the text may end is not part of it.
    fn mask(&mut self, vocabulary: &Vocabulary, at: Configuration) -> Arc<Mask>;

    /// The limit that was reached in this piece of work, if one was: what was answered since does
    /// not count, and nothing of it may be remembered.
    fn limit_reached(&mut self) -> Option<Exhausted>;

    /// Where a special token leads; masks have those that lead somewhere.
    fn take_special(&mut self, _at: Configuration, _token: u32) -> Option<Configuration> {
        None
    }

    /// Whether a special token may come next.
    fn may_take_special(&mut self, _at: Configuration) -> bool {
        false
    }

    /// Which byte may come next.
    fn next_byte(&mut self, at: Configuration) -> NextByte {
        let mut next = NextByte::Nothing;
        for byte in 0..=u8::MAX {
            if next != NextByte::Several && self.step(at, byte).is_some() {
                next = next.or(NextByte::Only(byte));
            }
        }
        next
    }

    /// Bytes that texts may end with, or more: where a token may run out of the text.
    fn last_bytes(&mut self) -> ByteSet {
        ByteSet::ALL
    }

    /// Begins a piece of work that may use so much fuel, whatever limit the last one reached.
    fn refuel(&mut self, _fuel: u64) {}

    /// The fuel that is left of this piece of work; all of it where work is not counted.
    fn fuel_left(&self) -> u64 {
        u64::MAX
    }

    /// What is remembered of a place: its mask, and whether the text may end there.
    fn remembered(&mut self, _at: Configuration) -> Option<(Arc<Mask>, bool)> {
        None
    }

    /// What ends the text soon, if anything is known; there may be something shorter.
    fn ending(&mut self, at: Configuration) -> Option<Ending> {
        search_ending(self, at).map(Ending::of_text)
    }

    /// Works ahead for about so long; gives the tables to read with from then on, if it has any.
    fn fill(&mut self, _vocabulary: &Vocabulary, _time: Duration) -> Option<Vec<u8>> {
        None
    }

    /// About how many bytes it has learnt.
    fn learnt_bytes(&self) -> usize {
        0
    }

    /// Whether it can learn no more, so that only a new one can go on.
    fn is_full(&self) -> bool {
        false
    }
}

/// JSON, against formulas.
pub(crate) struct JsonReader {
    pub(crate) grammar: Grammar,
    pub(crate) masks: Masks,
}

impl JsonReader {
    /// A reader that has met nothing yet.
    pub fn new(grammar: Grammar) -> Self {
        JsonReader {
            grammar,
            masks: Masks::default(),
        }
    }
}

impl Reader for JsonReader {
    fn start(&self) -> Configuration {
        self.grammar.first_configuration()
    }

    fn step(&mut self, at: Configuration, byte: u8) -> Option<Configuration> {
        self.grammar.step(at, byte)
    }

    fn may_end(&mut self, at: Configuration) -> bool {
        self.grammar.may_end(at)
    }

    fn next_byte(&mut self, at: Configuration) -> NextByte {
        self.grammar.next_byte(at)
    }

    fn mask(&mut self, vocabulary: &Vocabulary, at: Configuration) -> Arc<Mask> {
        self.masks.mask(&mut self.grammar, vocabulary, at)
    }

    fn limit_reached(&mut self) -> Option<Exhausted> {
        self.grammar.limit_reached()
    }

    fn last_bytes(&mut self) -> ByteSet {
        last_bytes_of_json(self)
    }

    fn refuel(&mut self, fuel: u64) {
        self.grammar.refuel(MASK_FUEL, fuel);
    }

    fn fuel_left(&self) -> u64 {
        self.grammar.formulas.regexes.fuel()
    }

    fn remembered(&mut self, at: Configuration) -> Option<(Arc<Mask>, bool)> {
        let mask = self.masks.remembered(&self.grammar, at)?;
        Some((mask, self.grammar.may_end(at)))
    }

    fn ending(&mut self, at: Configuration) -> Option<Ending> {
        self.grammar.ending(at).map(Ending::of_text)
    }

    fn fill(&mut self, vocabulary: &Vocabulary, time: Duration) -> Option<Vec<u8>> {
        Some(fill(self, vocabulary, time))
    }

    fn learnt_bytes(&self) -> usize {
        self.grammar.learnt_bytes() + self.masks.bytes()
    }

    fn is_full(&self) -> bool {
        self.grammar.is_full()
    }
}

/// How a JSON value begins tells how it ends.
pub(crate) fn last_bytes_of_json(reader: &mut dyn Reader) -> ByteSet {
    let kinds: [(&[u8], &[u8]); 6] = [
        (b"{", b"}"),
        (b"[", b"]"),
        (b"\"", b"\""),
        (b"tf", b"e"),
        (b"n", b"l"),
        (b"-0123456789", b"0123456789"),
    ];
    let start = reader.start();
    let mut last = ByteSet::default();
    for (first, ends) in kinds {
        let begins = |byte: &u8| reader.step(start, *byte).is_some();
        if first.iter().any(begins) {
            last.extend(ends.iter().copied());
        }
    }
    last
}

/// What is left where a reader was taken away.
pub(crate) struct Nothing;

impl Reader for Nothing {
    fn start(&self) -> Configuration {
        Configuration::NOWHERE
    }

    fn step(&mut self, _at: Configuration, _byte: u8) -> Option<Configuration> {
        None
    }

    fn may_end(&mut self, _at: Configuration) -> bool {
        false
    }

    fn mask(&mut self, _vocabulary: &Vocabulary, _at: Configuration) -> Arc<Mask> {
        Arc::default()
    }

    fn limit_reached(&mut self) -> Option<Exhausted> {
        None
    }
}
