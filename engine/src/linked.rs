//! Linked indexes: an envelope read with its parts, which stay as they are and are shared.
//!
//! Linking compiles nothing. A *place* is a set of threads (`linked/place.rs`), each somewhere in
//! the envelope and, inside a part, at a place of that part's own reader. The mask of a place is
//! what its parts' own masks have, which they remember for every linked index that holds them, and
//! besides
//!
//! * the special tokens that stand next,
//! * the tokens that begin with the literal text that stands next, from a walk of the trie,
//! * *crossings*: tokens that end a part's text and go on with what follows it. They are looked for
//!   from the border: the vocabulary knows the few nodes of its trie where a byte that can end the
//!   part has one behind it that can go on (`crossings`); the part is asked whether its text can
//!   end there, and what follows is read from there.
//!
//! Free text has masks of its own (`free_text`).

use std::sync::Arc;

use crate::byte_set::ByteSet;
use crate::closing::Ending;
use crate::envelope::{Envelope, MAX_LINK_LEVEL};
use crate::envelope_bytes::{
    WrittenPart, missing, read_parts, read_pieces, write_parts, write_pieces,
};
use crate::error::EngineError;
use crate::grammar::Exhausted;
use crate::hashing::IdMap;
use crate::index::{Budget, Index, Source, decide_first};
use crate::index_bytes::{self, Writer};
use crate::machine::{Configuration, NodeId};
use crate::mask::Mask;
use crate::reader::{NextByte, Reader};
use crate::sha256::Digest;
use crate::vocabulary::{Trie, Vocabulary};
use place::{Head, PlaceId, Places, RestId, Thread};

mod ending;
mod place;
#[cfg(test)]
mod tests;

impl Index {
    /// Returns the index of an envelope, whose last piece is the whole. Nothing is compiled; the
    /// parts stay shared.
    ///
    /// # Errors
    ///
    /// `Malformed`, `TooLarge` or `Vocabulary`: what is wrong with the envelope.
    pub fn link(envelope: Envelope, vocabulary: Arc<Vocabulary>) -> Result<Index, EngineError> {
        envelope.check(&vocabulary)?;
        let links = Links {
            level: envelope.level(),
            holds_end: envelope.holds_end(&vocabulary),
            envelope: Arc::new(envelope),
            is_apart: false,
        };
        let parts = links.envelope.parts.iter();
        let default = Budget::default().mask_fuel;
        let mask_fuel = parts.map(Index::mask_fuel).max().unwrap_or(default);
        let mut reader = links.reader();
        let runs = decide_first(&mut *reader, &vocabulary);
        let index = Index::of_reader(reader, Source::Linked(links), vocabulary, mask_fuel)?;
        Ok(index.with_runs(runs))
    }
}

impl Index {
    /// Returns the content ids of the parts that `load_linked` will look for; none for an index
    /// that is not linked.
    ///
    /// # Errors
    ///
    /// `IndexFormat`: not an index, damaged, or of another engine or vocabulary.
    pub fn links(bytes: &[u8], vocabulary: &Vocabulary) -> Result<Vec<Digest>, EngineError> {
        let mut reader = index_bytes::Reader::open(bytes, &vocabulary.fingerprint())?;
        if !reader.read_if(LINKED) {
            return Ok(Vec::new());
        }
        read_pieces(&mut reader)?;
        let parts = read_parts(&mut reader)?.into_iter();
        reader.finish()?;
        let id = |part| match part {
            WrittenPart::Id(id) => Some(id),
            WrittenPart::Bytes(_) => None,
        };
        Ok(parts.filter_map(id).collect())
    }
}

impl Envelope {
    /// Returns the envelope of a structure as `envelope_bytes` lays it out.
    ///
    /// # Errors
    ///
    /// `IndexFormat`: it is none.
    pub fn read(structure: &[u8], parts: Vec<Index>) -> Result<Envelope, EngineError> {
        let mut reader = index_bytes::Reader::of_body(structure);
        let pieces = read_pieces(&mut reader)?;
        reader.finish()?;
        let mut envelope = Envelope { pieces, parts };
        envelope.merge_parts();
        Ok(envelope)
    }
}

/// What a linked index was made from.
#[derive(Clone)]
pub(crate) struct Links {
    pub envelope: Arc<Envelope>,
    /// It shares no part's reader.
    is_apart: bool,
    /// Linked indexes within one another, this one included.
    pub level: usize,
    /// Some way through it takes an id that ends the sequence.
    pub holds_end: bool,
}

/// The kind of a linked index where others have that of their input.
pub(crate) const LINKED: u8 = 4;

impl Links {
    /// The same for an index that shares nothing.
    pub fn apart(&self) -> Links {
        let is_apart = true;
        Links {
            is_apart,
            ..self.clone()
        }
    }

    /// A reader that has met nothing yet.
    pub fn reader(&self) -> Box<dyn Reader> {
        Box::new(LinkedReader::new(Arc::clone(&self.envelope), self.is_apart))
    }

    /// The body of a dump, with the parts' bytes or their content ids.
    pub fn written(&self, is_whole: bool) -> Writer {
        let mut writer = Writer::new();
        writer.write_u8(LINKED);
        write_pieces(&mut writer, &self.envelope);
        write_parts(&mut writer, &self.envelope, is_whole);
        writer
    }
}

/// Reads the body of a dump behind its kind.
///
/// # Errors
///
/// `IndexFormat`, and what an envelope or a part is refused for.
pub(crate) fn read(
    level: usize,
    mut reader: index_bytes::Reader,
    vocabulary: Arc<Vocabulary>,
    find: &mut dyn FnMut(&Digest) -> Option<Index>,
) -> Result<Index, EngineError> {
    EngineError::check_limit("max_link_level", MAX_LINK_LEVEL, level)?;
    let pieces = read_pieces(&mut reader)?;
    let written = read_parts(&mut reader)?;
    reader.finish()?;
    let mut parts = Vec::with_capacity(written.len());
    for part in written {
        let index = match part {
            WrittenPart::Bytes(bytes) => {
                Index::load_within(level, bytes, Arc::clone(&vocabulary), find)?
            }
            WrittenPart::Id(id) => find(&id).ok_or_else(|| missing(&id))?,
        };
        parts.push(index);
    }
    Index::link(Envelope { pieces, parts }, vocabulary)
}

/// Reads an envelope.
pub(crate) struct LinkedReader {
    places: Places,
    start: PlaceId,
    masks: IdMap<PlaceId, Arc<Mask>>,
    free_masks: IdMap<Thread, Arc<Mask>>,
    first_bytes: IdMap<PlaceId, ByteSet>,
    /// By part and what follows it: where tokens may leave it.
    borders: IdMap<(u32, PlaceId), Arc<[u32]>>,
    /// Of the masks, about.
    bytes: usize,
}

impl LinkedReader {
    fn new(envelope: Arc<Envelope>, is_apart: bool) -> Self {
        let mut places = Places::new(envelope, is_apart);
        LinkedReader {
            start: places.start(),
            places,
            masks: IdMap::default(),
            free_masks: IdMap::default(),
            first_bytes: IdMap::default(),
            borders: IdMap::default(),
            bytes: 0,
        }
    }

    fn work_out_mask(&mut self, vocabulary: &Vocabulary, at: PlaceId) -> Arc<Mask> {
        let threads = Arc::clone(self.places.get(at));
        let (mut masks, mut tokens, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        for thread in threads.iter() {
            match thread.head {
                Head::Done => {}
                Head::Special { id } => tokens.push(id),
                Head::Text { .. } => texts.push(*thread),
                Head::Free { .. } => masks.push(self.free_mask(vocabulary, *thread)),
                Head::Part { part, at } => {
                    masks.push(self.places.part(part, |reader| reader.mask(vocabulary, at)));
                    self.cross(vocabulary, part, at, thread.rest, &mut tokens);
                }
            }
        }
        if let Some(texts) = self.places.intern(texts) {
            let trie = vocabulary.trie();
            self.walk(trie, (0, trie.len()), texts, &mut tokens);
        }
        match (&masks[..], tokens.is_empty()) {
            ([only], true) => Arc::clone(only),
            _ => Arc::new(Mask::union(&masks, tokens)),
        }
    }

    /// The tokens that go on with free text, or out of it into what follows.
    fn free_mask(&mut self, vocabulary: &Vocabulary, thread: Thread) -> Arc<Mask> {
        let Head::Free { piece, state } = thread.head else {
            return Arc::default();
        };
        if let Some(known) = self.free_masks.get(&thread) {
            return Arc::clone(known);
        }
        let text = self.places.free_text(piece);
        let free = vocabulary
            .free_masks()
            .get(vocabulary, &text.0, &text.1, state);
        let after = self.places.after(thread.rest);
        let (mut tokens, trie) = (Vec::new(), vocabulary.trie());
        if !self.first_bytes(after).is_empty() {
            for node in &free.left {
                let below = (*node as usize + 1, trie.ends[*node as usize] as usize);
                self.walk(trie, below, after, &mut tokens);
            }
        }
        let mask = Arc::new(Mask::new(Some(Arc::clone(&free.base)), tokens));
        if self.places.exhausted.is_none() {
            self.free_masks.insert(thread, Arc::clone(&mask));
        }
        mask
    }

    /// Collects the tokens that end a part's text and go on with what follows it.
    fn cross(
        &mut self,
        vocabulary: &Vocabulary,
        part: u32,
        within: Configuration,
        rest: RestId,
        tokens: &mut Vec<u32>,
    ) {
        let after = self.places.after(rest);
        let borders = self.borders(vocabulary, part, after);
        let trie = vocabulary.trie();
        let ends = self.places.part(part, |reader| {
            let mut may_end_at = |node: &u32| {
                let text = bytes_to(vocabulary, *node as usize);
                let end = text
                    .iter()
                    .try_fold(within, |at, byte| reader.step(at, *byte));
                end.is_some_and(|end| reader.may_end(end))
            };
            let nodes = borders.iter().copied();
            nodes.filter(|node| may_end_at(node)).collect::<Vec<u32>>()
        });
        for node in ends {
            let below = (node as usize + 1, trie.ends[node as usize] as usize);
            self.walk(trie, below, after, tokens);
        }
    }

    /// The trie's nodes at which tokens may leave a part.
    fn borders(&mut self, vocabulary: &Vocabulary, part: u32, after: PlaceId) -> Arc<[u32]> {
        if let Some(known) = self.borders.get(&(part, after)) {
            return Arc::clone(known);
        }
        let next = self.first_bytes(after);
        let last = match next.is_empty() {
            true => next,
            false => self.places.part(part, |reader| reader.last_bytes()),
        };
        let trie = vocabulary.trie();
        let nodes: Arc<[u32]> = vocabulary.crossings().between(trie, &last, &next).into();
        if self.places.exhausted.is_none() {
            self.borders.insert((part, after), Arc::clone(&nodes));
        }
        nodes
    }

    /// The bytes that lead somewhere.
    fn first_bytes(&mut self, at: PlaceId) -> ByteSet {
        if let Some(known) = self.first_bytes.get(&at) {
            return *known;
        }
        let threads = Arc::clone(self.places.get(at));
        let mut first = ByteSet::default();
        for thread in threads.iter() {
            first.extend(self.places.first_bytes(thread.head).iter());
        }
        if self.places.exhausted.is_none() {
            self.first_bytes.insert(at, first);
        }
        first
    }

    /// Collects the tokens among a range of sibling subtrees that can be read from a place.
    fn walk(&mut self, trie: &Trie, range: (usize, usize), at: PlaceId, tokens: &mut Vec<u32>) {
        let (mut node, end) = range;
        if node >= end {
            return;
        }
        let first = self.first_bytes(at);
        let top = trie.depths[node] as usize;
        let mut places = vec![at];
        while node < end {
            let depth = trie.depths[node] as usize - top;
            places.truncate(depth + 1);
            let byte = trie.bytes[node];
            let next = match depth > 0 || first.contains(byte) {
                true => self.places.step(places[depth], byte),
                false => None,
            };
            match next {
                Some(next) => {
                    places.push(next);
                    tokens.extend_from_slice(trie.tokens_at(node));
                    node += 1;
                }
                None => node = trie.ends[node] as usize,
            }
        }
    }
}

/// The bytes that lead to a node of the trie, its own included.
fn bytes_to(vocabulary: &Vocabulary, node: usize) -> &[u8] {
    let trie = vocabulary.trie();
    let token = trie.tokens_below(node).first();
    token.map_or(&[], |id| {
        &vocabulary.token_bytes(*id)[..=trie.depths[node] as usize]
    })
}

impl Reader for LinkedReader {
    fn start(&self) -> Configuration {
        configuration(self.start)
    }

    fn step(&mut self, at: Configuration, byte: u8) -> Option<Configuration> {
        self.places.step(PlaceId(at.top.0), byte).map(configuration)
    }

    fn may_end(&mut self, at: Configuration) -> bool {
        self.places.may_end(PlaceId(at.top.0))
    }

    fn mask(&mut self, vocabulary: &Vocabulary, at: Configuration) -> Arc<Mask> {
        let at = PlaceId(at.top.0);
        if let Some(known) = self.masks.get(&at) {
            return Arc::clone(known);
        }
        let mask = self.work_out_mask(vocabulary, at);
        if self.places.exhausted.is_none() {
            self.bytes += mask.bytes();
            self.masks.insert(at, Arc::clone(&mask));
        }
        mask
    }

    fn limit_reached(&mut self) -> Option<Exhausted> {
        self.places.exhausted
    }

    fn refuel(&mut self, fuel: u64) {
        self.places.refuel(fuel);
    }

    fn fuel_left(&self) -> u64 {
        self.places.fuel
    }

    fn remembered(&mut self, at: Configuration) -> Option<(Arc<Mask>, bool)> {
        let at = PlaceId(at.top.0);
        let mask = self.masks.get(&at)?;
        Some((Arc::clone(mask), self.places.may_end(at)))
    }

    fn ending(&mut self, at: Configuration) -> Option<Ending> {
        self.places.ending(PlaceId(at.top.0))
    }

    fn learnt_bytes(&self) -> usize {
        self.bytes + self.places.bytes
    }

    /// A part has forgotten the places that are known of it.
    fn is_full(&self) -> bool {
        self.places.is_stale
    }

    fn may_take_special(&mut self, at: Configuration) -> bool {
        self.places.may_take_special(PlaceId(at.top.0))
    }

    fn next_byte(&mut self, at: Configuration) -> NextByte {
        self.places.next_byte(PlaceId(at.top.0))
    }

    fn take_special(&mut self, at: Configuration, token: u32) -> Option<Configuration> {
        self.places
            .take_special(PlaceId(at.top.0), token)
            .map(configuration)
    }
}

fn configuration(place: PlaceId) -> Configuration {
    Configuration {
        top: NodeId(place.0),
        ..Configuration::NOWHERE
    }
}
