//! Masks that take long: another thread finishes them, and their cursors rejoin the batch later.
//!
//! Such a cursor leaves the reader that it shared for one of its own, so that nobody waits for the
//! lock that its work holds. From then on its masks are worked out apart from the start, until one
//! of them was quick. The threads that do this give way to all others.
//!
//! All masks of a batch together may take what a few of the costliest would (`Allowance`). Whoever
//! comes when that is used up is asked again with the next batch, and nothing is begun.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;

use crate::cursor::{Cursor, NO_GENERATION};
use crate::error::CursorError;
use crate::ffi::give_way;
use crate::grammar::STACK_BYTES;

/// Masks of the costliest kind that a batch works out at once.
const COSTLY_MASKS: u64 = 5;
/// Late masks of the costliest kind that a cursor may have before it fails.
const MAX_LATE_MASKS: u64 = 16;
/// The limit that they are: of the fuel that all late masks of a cursor burn together.
const LATE_FUEL: &str = "late_mask_fuel";

static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Threads that finish masks at most, half of the machine's; more masks wait for their turn.
fn max_threads() -> usize {
    static MAX: LazyLock<usize> =
        LazyLock::new(|| thread::available_parallelism().map_or(1, |all| all.get().div_ceil(2)));
    *MAX
}

/// What the masks of one batch may take.
pub(crate) struct Allowance {
    /// Fuel of one mask.
    pub each: u64,
    /// What is left for all of them together.
    left: AtomicU64,
}

impl Allowance {
    /// So much for each, and as much as a few of them for all.
    pub fn new(each: u64) -> Self {
        let left = AtomicU64::new(each.saturating_mul(COSTLY_MASKS));
        Allowance { each, left }
    }

    /// Whether there is enough for any one mask.
    pub fn suffices(&self) -> bool {
        self.left.load(Ordering::Relaxed) >= self.each
    }

    /// Takes note of what a mask took.
    pub fn note(&self, fuel: u64) {
        let spent = |left: u64| Some(left.saturating_sub(fuel));
        let _ = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent);
    }
}

/// What becomes of a cursor whose mask is late.
#[derive(Clone, Default)]
pub(crate) struct Late {
    /// Where the cursor will be found once its mask is worked out.
    pending: Option<Arc<Mutex<Option<Cursor>>>>,
    /// It has a reader of its own.
    is_apart: bool,
    /// Its masks take long more often than not.
    is_usual: bool,
    /// Fuel of all late masks so far.
    spent: u64,
}

impl Late {
    /// Whether a mask is being worked out.
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether it is not worth trying to work out a mask at once.
    pub fn is_usual(&self) -> bool {
        self.is_usual
    }

    /// Gives up the mask that is being worked out: the cursor has moved.
    pub fn forget(&mut self) {
        self.pending = None;
    }
}

impl Cursor {
    /// Takes over what another thread has finished, if it has.
    pub(crate) fn rejoin(&mut self) {
        let Some(slot) = &self.late.pending else {
            return;
        };
        let finished = slot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(finished) = finished {
            *self = finished;
        }
    }

    /// Leaves the mask to another thread; where there are enough of them, the next call tries again.
    /// One that takes no more than `quick` could have been worked out at once.
    pub(crate) fn finish_later(&mut self, quick: u64) {
        self.late.is_usual = true;
        if RUNNING.fetch_add(1, Ordering::Relaxed) >= max_threads() {
            RUNNING.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let (slot, cursor) = (Arc::new(Mutex::new(None)), self.clone());
        let place = Arc::clone(&slot);
        let work = move || {
            give_way();
            let finished = finish(cursor, quick);
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(finished);
            RUNNING.fetch_sub(1, Ordering::Relaxed);
        };
        match thread::Builder::new()
            .name("formwork-late".into())
            .stack_size(STACK_BYTES)
            .spawn(work)
        {
            Ok(_) => self.late.pending = Some(slot),
            Err(_) => _ = RUNNING.fetch_sub(1, Ordering::Relaxed),
        }
    }

    fn go_apart(&mut self) {
        if self.late.is_apart {
            return;
        }
        if let Some(index) = self.index.apart() {
            (self.index, self.generation) = (index, NO_GENERATION);
            self.late.is_apart = true;
        }
    }
}

fn finish(mut cursor: Cursor, quick: u64) -> Cursor {
    let fuel = cursor.index.mask_fuel();
    let worked = catch_unwind(AssertUnwindSafe(|| {
        cursor.go_apart();
        cursor.prepare(fuel)
    }));
    let failure = match worked {
        Ok(Ok(spent)) => {
            cursor.late.spent = cursor.late.spent.saturating_add(spent);
            cursor.late.is_usual = spent > quick;
            let (limit, maximum) = (LATE_FUEL, fuel.saturating_mul(MAX_LATE_MASKS));
            (cursor.late.spent > maximum).then_some(CursorError::LimitReached { limit, maximum })
        }
        Ok(Err(error)) => Some(error),
        Err(_) => Some(CursorError::Failed("a mask panicked".into())),
    };
    cursor.failure = cursor.failure.or(failure);
    cursor
}
