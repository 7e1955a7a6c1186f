//! Places of a linked text: sets of threads, each a way to read the envelope so far.

use std::hash::{BuildHasher, BuildHasherDefault};
use std::sync::Arc;

use crate::byte_set::ByteSet;
use crate::envelope::{Envelope, FreeText, Piece, PieceId};
use crate::formula::{Interner, ids};
use crate::grammar::{Exhausted, MASK_FUEL};
use crate::hashing::{IdHasher, IdMap};
use crate::index::{Budget, Index, MAX_LEARNT_BYTES};
use crate::machine::Configuration;
use crate::reader::{NextByte, Reader};

use super::ending::Endings;
use crate::free_text::{Automaton, FreeStep};

ids! {
    /// An interned set of threads.
    PlaceId,
    /// What is left of the envelope when a piece has ended.
    RestId,
}

impl RestId {
    /// Nothing is left.
    const NOTHING: RestId = RestId(0);
}

/// What a place takes beside its threads, about.
const PLACE_BYTES: usize = 96;
/// Threads that a place may have at most.
const MAX_THREADS: usize = 4096;

/// Where a thread is: in a piece that bytes or a special token lead through.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Head {
    /// The text has ended.
    Done,
    /// Before a special token.
    Special { id: u32 },
    /// In literal text, so many bytes of it read.
    Text { piece: PieceId, read: u32 },
    /// In free text, in a state of its automaton.
    Free { piece: PieceId, state: u32 },
    /// In a part, at a place of its own reader.
    Part { part: u32, at: Configuration },
}

/// One way to read the text so far.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Thread {
    pub head: Head,
    pub rest: RestId,
}

/// The innermost thing that is left to do.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Frame {
    Nothing,
    /// The pieces of a sequence from the one with a number.
    Sequence {
        piece: PieceId,
        next: u32,
        below: RestId,
    },
    /// A repetition that has been done so often.
    Repeat {
        piece: PieceId,
        done: u32,
        below: RestId,
    },
}

/// What is to be followed until bytes or special tokens are met.
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
enum Open {
    Enter(PieceId, RestId),
    Leave(RestId),
}

/// All places met so far.
pub(super) struct Places {
    envelope: Arc<Envelope>,
    rests: Interner<Frame, RestId>,
    places: Interner<Vec<Thread>, PlaceId>,
    after: IdMap<RestId, PlaceId>,
    automata: IdMap<PieceId, Arc<(FreeText, Automaton)>>,
    pub(super) endings: Endings,
    /// By part: an index of its own for each that has been met, where none is to be shared.
    apart: Option<Vec<Option<Index>>>,
    /// By part: which of its readers has given out the places that are known.
    generations: Vec<Option<u64>>,
    /// What a piece of work may still use, and what it might when it began.
    pub fuel: u64,
    granted: u64,
    pub exhausted: Option<Exhausted>,
    /// A part's reader was replaced: what is known of its places means nothing any more.
    pub is_stale: bool,
    /// Of all places, about.
    pub bytes: usize,
}

impl Places {
    /// Places in an envelope, its parts shared or, if `is_apart`, compiled anew when they are met.
    pub fn new(envelope: Arc<Envelope>, is_apart: bool) -> Self {
        let mut rests = Interner::default();
        rests.intern(Frame::Nothing);
        let mut places = Interner::default();
        places.intern(Vec::new());
        let generations = vec![None; envelope.parts.len()];
        Places {
            apart: is_apart.then(|| vec![None; envelope.parts.len()]),
            envelope,
            generations,
            fuel: Budget::default().mask_fuel,
            granted: Budget::default().mask_fuel,
            is_stale: false,
            bytes: 0,
            rests,
            places,
            after: IdMap::default(),
            automata: IdMap::default(),
            endings: Endings::default(),
            exhausted: None,
        }
    }

    /// Where every text begins.
    pub fn start(&mut self) -> PlaceId {
        let mut threads = Vec::new();
        let root = self.envelope.root();
        self.follow(Open::Enter(root, RestId::NOTHING), &mut threads);
        self.intern(threads).unwrap_or(PlaceId(0))
    }

    /// The threads of a place.
    pub fn get(&self, at: PlaceId) -> &Arc<Vec<Thread>> {
        self.places.get(at)
    }

    /// The place of some threads; None for none.
    pub fn intern(&mut self, mut threads: Vec<Thread>) -> Option<PlaceId> {
        let hashing = BuildHasherDefault::<IdHasher>::default();
        if threads.len() > 1 {
            // any order will do that is the same for the same threads
            threads.sort_by_cached_key(|thread| hashing.hash_one(thread));
            threads.dedup();
        }
        if threads.len() > MAX_THREADS {
            self.exhaust("max_threads", MAX_THREADS as u64);
            return None;
        }
        if threads.is_empty() {
            return None;
        }
        let (count, size) = (self.places.len(), size_of::<Thread>() * threads.len());
        let place = self.places.intern(threads);
        self.bytes += (self.places.len() - count) * (PLACE_BYTES + size);
        Some(place)
    }

    /// What is left of the envelope.
    pub(super) fn frame(&self, rest: RestId) -> &Arc<Frame> {
        self.rests.get(rest)
    }

    /// A piece of the envelope.
    pub(super) fn piece(&self, piece: PieceId) -> Piece {
        self.envelope.piece(piece).clone()
    }

    fn exhaust(&mut self, limit: &'static str, maximum: u64) {
        self.exhausted.get_or_insert(Exhausted { limit, maximum });
    }

    /// Begins a piece of work that may use so much fuel.
    pub fn refuel(&mut self, fuel: u64) {
        (self.fuel, self.granted, self.exhausted) = (fuel, fuel, None);
    }

    /// Burns fuel; false once a limit was reached.
    fn spend(&mut self, units: u64) -> bool {
        match self.fuel.checked_sub(units) {
            Some(left) => self.fuel = left,
            None => self.exhaust(MASK_FUEL, self.granted),
        }
        self.exhausted.is_none()
    }

    /// Whether the text may end.
    pub fn may_end(&self, at: PlaceId) -> bool {
        self.get(at).iter().any(|thread| thread.head == Head::Done)
    }

    /// Where a piece leads when it has ended.
    pub fn after(&mut self, rest: RestId) -> PlaceId {
        if let Some(known) = self.after.get(&rest) {
            return *known;
        }
        let mut threads = Vec::new();
        self.follow(Open::Leave(rest), &mut threads);
        let place = self.intern(threads).unwrap_or(PlaceId(0));
        if self.exhausted.is_none() {
            self.after.insert(rest, place);
        }
        place
    }

    /// Does something with a part's reader, with the fuel that is left; nothing where that is
    /// another reader than before, which does not know the places that the first one gave out.
    pub fn part<T: Default>(&mut self, part: u32, work: impl FnOnce(&mut dyn Reader) -> T) -> T {
        let shared = &self.envelope.parts[part as usize];
        let index = match &mut self.apart {
            None => shared,
            Some(apart) => apart[part as usize]
                .get_or_insert_with(|| shared.apart().unwrap_or_else(|| shared.clone())),
        };
        let mut working = index.working();
        let generation = *self.generations[part as usize].get_or_insert(working.generation);
        if self.is_stale || generation != working.generation {
            drop(working);
            self.is_stale = true;
            self.exhaust("max_learnt_bytes", MAX_LEARNT_BYTES as u64);
            return T::default();
        }
        working.refuel(self.fuel);
        let result = work(&mut *working.reader);
        self.fuel = self.fuel.min(working.fuel_left());
        if let Some(limit) = working.limit_reached() {
            let is_fuel = limit.limit == MASK_FUEL; // the part was given what is left
            let maximum = if is_fuel { self.granted } else { limit.maximum };
            self.exhausted.get_or_insert(Exhausted { maximum, ..limit });
        }
        if working.is_full() {
            index.renew(&mut working);
            self.is_stale = true;
        }
        result
    }

    /// A piece of free text, and its automaton.
    pub fn free_text(&mut self, piece: PieceId) -> Arc<(FreeText, Automaton)> {
        let known = self.automata.entry(piece).or_insert_with(|| {
            let text = match self.envelope.piece(piece) {
                Piece::Free(text) => text.clone(),
                _ => FreeText::default(),
            };
            let automaton = Automaton::new(&text);
            Arc::new((text, automaton))
        });
        Arc::clone(known)
    }
}

impl Places {
    /// Collects where reading goes on: pieces are entered and left until bytes or special tokens
    /// are met. Nothing is followed twice, so that this ends.
    fn follow(&mut self, open: Open, threads: &mut Vec<Thread>) {
        let envelope = Arc::clone(&self.envelope);
        let (mut open, mut seen) = (vec![open], IdMap::default());
        while let Some(next) = open.pop() {
            if seen.insert(next, ()).is_some() {
                continue;
            }
            if threads.len() > MAX_THREADS {
                self.exhaust("max_threads", MAX_THREADS as u64);
                return;
            }
            match next {
                Open::Enter(piece, rest) => self.enter(&envelope, piece, rest, &mut open, threads),
                Open::Leave(rest) => self.leave(&envelope, rest, &mut open, threads),
            }
        }
    }

    fn enter(
        &mut self,
        envelope: &Envelope,
        piece: PieceId,
        rest: RestId,
        open: &mut Vec<Open>,
        threads: &mut Vec<Thread>,
    ) {
        match envelope.piece(piece) {
            Piece::Special(id) => threads.push(Thread {
                head: Head::Special { id: *id },
                rest,
            }),
            Piece::Text(text) if text.is_empty() => open.push(Open::Leave(rest)),
            Piece::Text(_) => threads.push(Thread {
                head: Head::Text { piece, read: 0 },
                rest,
            }),
            Piece::Free(free) => {
                threads.push(Thread {
                    head: Head::Free { piece, state: 0 },
                    rest,
                });
                if !free.is_until {
                    open.push(Open::Leave(rest));
                }
            }
            Piece::Part(part) => {
                let start = self.part(*part, |reader| {
                    let start = reader.start();
                    Some((start, reader.may_end(start)))
                });
                let Some((at, may_end)) = start else {
                    return;
                };
                threads.push(Thread {
                    head: Head::Part { part: *part, at },
                    rest,
                });
                if may_end {
                    open.push(Open::Leave(rest));
                }
            }
            Piece::Sequence(_) => self.go_on(envelope, piece, 0, rest, open),
            Piece::Choice(pieces) => {
                open.extend(pieces.iter().map(|piece| Open::Enter(*piece, rest)));
            }
            Piece::Repeat { .. } => self.again(envelope, piece, 0, rest, open),
        }
    }

    fn leave(
        &mut self,
        envelope: &Envelope,
        rest: RestId,
        open: &mut Vec<Open>,
        threads: &mut Vec<Thread>,
    ) {
        match **self.rests.get(rest) {
            Frame::Nothing => threads.push(Thread {
                head: Head::Done,
                rest,
            }),
            Frame::Sequence { piece, next, below } => {
                self.go_on(envelope, piece, next, below, open);
            }
            Frame::Repeat { piece, done, below } => self.again(envelope, piece, done, below, open),
        }
    }

    /// Goes on with a sequence; its last piece leaves nothing of it to be done.
    fn go_on(
        &mut self,
        envelope: &Envelope,
        piece: PieceId,
        next: u32,
        below: RestId,
        open: &mut Vec<Open>,
    ) {
        let Piece::Sequence(pieces) = envelope.piece(piece) else {
            return;
        };
        match pieces[next as usize..] {
            [] => open.push(Open::Leave(below)),
            [last] => open.push(Open::Enter(last, below)),
            [inner, ..] => {
                let next = next + 1;
                let rest = self.rests.intern(Frame::Sequence { piece, next, below });
                open.push(Open::Enter(inner, rest));
            }
        }
    }

    /// Goes on with a repetition; without an upper limit only the lower one is counted to.
    fn again(
        &mut self,
        envelope: &Envelope,
        piece: PieceId,
        done: u32,
        below: RestId,
        open: &mut Vec<Open>,
    ) {
        let Piece::Repeat {
            piece: inner,
            least,
            most,
        } = *envelope.piece(piece)
        else {
            return;
        };
        if done >= least {
            open.push(Open::Leave(below));
        }
        if most.is_none_or(|most| done < most) {
            let done = match most {
                None => (done + 1).min(least),
                Some(_) => done + 1,
            };
            let rest = self.rests.intern(Frame::Repeat { piece, done, below });
            open.push(Open::Enter(inner, rest));
        }
    }
}

impl Places {
    /// Where a byte leads.
    pub fn step(&mut self, at: PlaceId, byte: u8) -> Option<PlaceId> {
        let threads = Arc::clone(self.get(at));
        let mut next = Vec::new();
        if !self.spend(threads.len() as u64) {
            return None;
        }
        for thread in threads.iter() {
            self.step_thread(*thread, byte, &mut next);
        }
        self.intern(next)
    }

    fn step_thread(&mut self, Thread { head, rest }: Thread, byte: u8, next: &mut Vec<Thread>) {
        let (head, ends) = match head {
            Head::Done | Head::Special { .. } => return,
            Head::Text { piece, read } => match self.step_text(piece, read, byte) {
                Some(ends) => {
                    let head = Head::Text {
                        piece,
                        read: read + 1,
                    };
                    ((!ends).then_some(head), ends)
                }
                None => return,
            },
            Head::Free { piece, state } => match self.free_text(piece).1.step(state, byte) {
                FreeStep::Dead => return,
                FreeStep::To { state, may_end } => (Some(Head::Free { piece, state }), may_end),
                FreeStep::Ended => (None, true),
            },
            Head::Part { part, at } => {
                let step = self.part(part, |reader| {
                    let next = reader.step(at, byte)?;
                    Some((next, reader.may_end(next)))
                });
                match step {
                    Some((at, may_end)) => (Some(Head::Part { part, at }), may_end),
                    None => return,
                }
            }
        };
        next.extend(head.map(|head| Thread { head, rest }));
        if ends {
            self.extend_after(rest, next);
        }
    }

    /// Whether a byte of literal text is its last one; None for another byte.
    fn step_text(&self, piece: PieceId, read: u32, byte: u8) -> Option<bool> {
        let Piece::Text(text) = self.envelope.piece(piece) else {
            return None;
        };
        let left = &text.as_bytes()[read as usize..];
        (left.first() == Some(&byte)).then_some(left.len() == 1)
    }

    fn extend_after(&mut self, rest: RestId, next: &mut Vec<Thread>) {
        let after = self.after(rest);
        next.extend_from_slice(self.get(after));
    }

    /// Where a special token leads.
    pub fn take_special(&mut self, at: PlaceId, token: u32) -> Option<PlaceId> {
        let threads = Arc::clone(self.get(at));
        let mut next = Vec::new();
        for Thread { head, rest } in threads.iter().copied() {
            match head {
                Head::Special { id } if id == token => self.extend_after(rest, &mut next),
                Head::Part { part, at } => {
                    let taken = self.part(part, |reader| {
                        let next = reader.take_special(at, token)?;
                        Some((next, reader.may_end(next)))
                    });
                    if let Some((at, may_end)) = taken {
                        next.push(Thread {
                            head: Head::Part { part, at },
                            rest,
                        });
                        if may_end {
                            self.extend_after(rest, &mut next);
                        }
                    }
                }
                _ => {}
            }
        }
        self.intern(next)
    }

    /// Which byte may come next.
    pub fn next_byte(&mut self, at: PlaceId) -> NextByte {
        let threads = Arc::clone(self.get(at));
        let mut next = NextByte::Nothing;
        for thread in threads.iter() {
            if next == NextByte::Several {
                break;
            }
            next = next.or(match thread.head {
                Head::Part { part, at } => self.part(part, |reader| reader.next_byte(at)),
                head => {
                    let first = self.first_bytes(head);
                    first.iter().fold(NextByte::Nothing, |next, byte| {
                        next.or(NextByte::Only(byte))
                    })
                }
            });
        }
        next
    }

    /// Whether a special token may come next.
    pub fn may_take_special(&mut self, at: PlaceId) -> bool {
        let threads = Arc::clone(self.get(at));
        threads.iter().any(|thread| match thread.head {
            Head::Special { .. } => true,
            Head::Part { part, at } => self.part(part, |reader| reader.may_take_special(at)),
            _ => false,
        })
    }

    /// The bytes that lead a thread somewhere.
    pub fn first_bytes(&mut self, head: Head) -> ByteSet {
        match head {
            Head::Done | Head::Special { .. } => ByteSet::default(),
            Head::Text { piece, read } => match self.envelope.piece(piece) {
                Piece::Text(text) => text.as_bytes()[read as usize..]
                    .iter()
                    .copied()
                    .take(1)
                    .collect(),
                _ => ByteSet::default(),
            },
            Head::Free { piece, state } => {
                let text = self.free_text(piece);
                let leads = |byte: &u8| text.1.step(state, *byte) != FreeStep::Dead;
                (0..=u8::MAX).filter(leads).collect()
            }
            Head::Part { part, at } => self.part(part, |reader| {
                let leads = |byte: &u8| reader.step(at, *byte).is_some();
                (0..=u8::MAX).filter(leads).collect()
            }),
        }
    }
}
