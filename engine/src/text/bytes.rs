//! UTF-8 below a character machine: every byte leads on only if it begins, continues or ends a code
//! point that may follow.

use std::sync::Arc;

use super::{CharacterMachine, Place};
use crate::charset::{CharSet, MAX_CODE_POINT};
use crate::formula::{Interner, ids};

ids! {
    /// A place of a text between two bytes.
    ByteState,
}

/// How many tables of steps are kept; they are made anew when they are needed.
const MAX_TABLES: usize = 1 << 15;
/// Bytes of a table and of what goes with it.
const TABLE_BYTES: usize = 1200;

/// Where a text stands.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
enum Spot {
    /// Between two code points.
    Between(Place),
    /// Inside a code point: its leading bits, and how many bytes are to come.
    Inside { base: Place, bits: u32, left: u8 },
    /// Inside a code point of which all that may come lead to one place.
    Tail { target: Place, left: u8 },
}

/// Code points from the first to the last lead to the same place, or nowhere.
type Run = (u32, u32, Option<Place>);

/// What a byte does, in 32 bits: not worked out, nothing may follow, or a state.
const UNKNOWN: u32 = 0;
const DEAD: u32 = 1;
const FIRST: u32 = 2;

/// A character machine that is fed with bytes.
pub(crate) struct ByteMachine<M> {
    pub machine: M,
    spots: Interner<Spot, ByteState>,
    tables: Vec<Option<Box<[u32; 256]>>>,
    table_count: usize,
    /// By place: what its code points beyond ASCII do.
    runs: Vec<Option<Arc<[Run]>>>,
    start: ByteState,
}

impl<M: CharacterMachine> ByteMachine<M> {
    /// A machine that has met nothing yet.
    pub fn new(machine: M) -> Self {
        let mut spots = Interner::default();
        let start = spots.intern(Spot::Between(machine.start()));
        ByteMachine {
            machine,
            spots,
            tables: Vec::new(),
            table_count: 0,
            runs: Vec::new(),
            start,
        }
    }

    /// Where every text begins.
    pub fn start(&self) -> ByteState {
        self.start
    }

    /// Whether the text may end here.
    pub fn may_end(&self, at: ByteState) -> bool {
        self.place(at)
            .is_some_and(|place| self.machine.may_end(place))
    }

    /// The place of a state between two code points.
    pub fn place(&self, at: ByteState) -> Option<Place> {
        match **self.spots.get(at) {
            Spot::Between(place) => Some(place),
            _ => None,
        }
    }

    /// The state at a place.
    pub fn state(&mut self, place: Place) -> ByteState {
        self.spots.intern(Spot::Between(place))
    }

    /// About how many bytes have been learnt.
    pub fn learnt_bytes(&self) -> usize {
        self.table_count * TABLE_BYTES + self.machine.learnt_bytes()
    }

    /// Where a byte leads.
    #[inline]
    pub fn step(&mut self, at: ByteState, byte: u8) -> Option<ByteState> {
        if let Some(Some(table)) = self.tables.get(usize::from(at)) {
            match table[byte as usize] {
                UNKNOWN => {}
                DEAD => return None,
                code => return Some(ByteState(code - FIRST)),
            }
        }
        self.work_out(at, byte)
    }

    #[cold]
    fn work_out(&mut self, at: ByteState, byte: u8) -> Option<ByteState> {
        let next = self.spot_after(at, byte);
        let next = next.map(|spot| self.spots.intern(spot));
        if self.machine.limit_reached().is_none() {
            self.learn(at, byte, next.map_or(DEAD, |state| state.0 + FIRST));
        }
        next
    }

    fn learn(&mut self, at: ByteState, byte: u8, code: u32) {
        if self.table_count > MAX_TABLES {
            self.tables.clear();
            self.runs.clear();
            self.table_count = 0;
        }
        let index = usize::from(at);
        if self.tables.len() <= index {
            self.tables.resize_with(index + 1, || None);
        }
        let count = &mut self.table_count;
        let table = self.tables[index].get_or_insert_with(|| {
            *count += 1;
            Box::new([UNKNOWN; 256])
        });
        table[byte as usize] = code;
    }

    fn spot_after(&mut self, at: ByteState, byte: u8) -> Option<Spot> {
        let value = u32::from(byte);
        match (**self.spots.get(at), byte) {
            (Spot::Between(place), 0..0x80) => self.machine.step(place, value).map(Spot::Between),
            (Spot::Between(base), 0xC2..0xE0) => self.inside(base, value & 0x1F, 1, 0x80),
            (Spot::Between(base), 0xE0..0xF0) => self.inside(base, value & 0x0F, 2, 0x800),
            (Spot::Between(base), 0xF0..0xF5) => self.inside(base, value & 0x07, 3, 0x1_0000),
            (Spot::Inside { base, bits, left }, 0x80..0xC0) => {
                // What is below the first code point of so many bytes would be an overlong form.
                let least = [0, 0x80, 0x800, 0x1_0000][left as usize];
                self.inside(base, bits << 6 | value & 0x3F, left - 1, least)
            }
            (Spot::Tail { target, left: 1 }, 0x80..0xC0) => Some(Spot::Between(target)),
            (Spot::Tail { target, left }, 0x80..0xC0) => Some(Spot::Tail {
                target,
                left: left - 1,
            }),
            _ => None,
        }
    }

    /// After some bytes of a code point that is at least `least`.
    fn inside(&mut self, base: Place, bits: u32, left: u8, least: u32) -> Option<Spot> {
        let shift = 6 * u32::from(left);
        let (low, high) = (bits << shift, (bits << shift) | ((1 << shift) - 1));
        if high < least {
            return None;
        }
        let runs = self.runs(base);
        let from = runs.partition_point(|run| run.1 < low.max(least));
        if left == 0 {
            let run = runs.get(from).filter(|run| run.0 <= low)?;
            return run.2.map(Spot::Between);
        }
        if let Some(&(first, last, Some(target))) = runs.get(from)
            && first <= low
            && least <= low
            && high <= last
        {
            return Some(Spot::Tail { target, left });
        }
        let mut within = runs[from..].iter().take_while(|run| run.0 <= high);
        within
            .any(|run| run.2.is_some())
            .then_some(Spot::Inside { base, bits, left })
    }

    /// What the code points beyond ASCII do: sorted runs of all scalar values.
    pub fn runs(&mut self, at: Place) -> Arc<[Run]> {
        let index = usize::from(at);
        if let Some(Some(known)) = self.runs.get(index) {
            return Arc::clone(known);
        }
        let mut runs: Vec<Run> = Vec::new();
        let others = CharSet::from_ranges([(0x80, MAX_CODE_POINT)]);
        for class in self.machine.classes(at) {
            let class = class.intersection(&others);
            let Some(sample) = class.first() else {
                continue;
            };
            let target = self.machine.step(at, sample);
            runs.extend(
                class
                    .ranges()
                    .iter()
                    .map(|&(low, high)| (low, high, target)),
            );
        }
        runs.sort_unstable_by_key(|run| run.0);
        runs.dedup_by(|next, run| {
            let continues = run.2 == next.2 && run.1 + 1 == next.0;
            if continues {
                run.1 = next.1;
            }
            continues
        });
        let runs: Arc<[Run]> = runs.into();
        if self.machine.limit_reached().is_none() {
            if self.runs.len() <= index {
                self.runs.resize_with(index + 1, || None);
            }
            self.runs[index] = Some(Arc::clone(&runs));
        }
        runs
    }
}
