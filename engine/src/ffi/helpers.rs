//! Threads that wait for batches: to start one costs as much as many a mask.
#![deny(unsafe_code)]

use std::hint;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

use crate::grammar::STACK_BYTES;

/// Something to do for each place of a batch.
pub type Work = Arc<dyn Fn(usize) + Send + Sync>;

/// Helpers that there are at most, whatever is asked for.
const MAX_HELPERS: usize = 63;
/// Places that a thread takes at once.
const SHARE: usize = 4;
/// Times to look whether the helpers are done before sleeping: they have a share each to finish.
const LOOKS: usize = 500;

/// Does the work for each place below `count`, on so many threads, this one among them; on fewer
/// where no more can be had. All of it is done on return, and `work` is not called again.
pub fn share_out(count: usize, threads: usize, work: Work) {
    let batch = Arc::new(Batch {
        work,
        count,
        next: AtomicUsize::new(0),
        done: AtomicUsize::new(0),
        caller: thread::current(),
    });
    let helpers = threads.min(count.div_ceil(SHARE)).saturating_sub(1);
    if helpers > 0 {
        ask_helpers(&batch, helpers.min(MAX_HELPERS));
    }
    batch.run();
    batch.wait();
}

struct Batch {
    work: Work,
    count: usize,
    /// The first place that nobody has taken.
    next: AtomicUsize,
    /// Places that are done.
    done: AtomicUsize,
    caller: Thread,
}

impl Batch {
    /// Works until every place has been taken.
    fn run(&self) {
        loop {
            let start = self.next.fetch_add(SHARE, Ordering::Relaxed);
            if start >= self.count {
                return;
            }
            for place in start..self.count.min(start + SHARE) {
                // the work answers for its panics itself; whatever happens, nobody waits for ever
                let _ = catch_unwind(AssertUnwindSafe(|| (self.work)(place)));
                if 1 + self.done.fetch_add(1, Ordering::AcqRel) == self.count {
                    self.caller.unpark();
                }
            }
        }
    }

    fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire) == self.count
    }

    fn wait(&self) {
        for _ in 0..LOOKS {
            if self.is_done() {
                return;
            }
            hint::spin_loop();
        }
        while !self.is_done() {
            thread::park();
        }
    }
}

/// What the helpers wait for: batches, once for each that shall come.
struct Queue {
    batches: Vec<Arc<Batch>>,
    helpers: usize,
    /// The process they run in: a fork has none of them.
    process: u32,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    batches: Vec::new(),
    helpers: 0,
    process: 0,
});
static CALL: Condvar = Condvar::new();

/// Asks some helpers to join in. None come where the queue is busy, or was so at a fork: the
/// caller's own thread does what nobody else does.
fn ask_helpers(batch: &Arc<Batch>, helpers: usize) {
    let Ok(mut queue) = QUEUE.try_lock() else {
        return;
    };
    let process = process::id();
    if queue.process != process {
        (queue.process, queue.helpers) = (process, 0);
        queue.batches.clear();
    }
    let start = || thread::Builder::new().stack_size(STACK_BYTES).spawn(help);
    while queue.helpers < helpers && start().is_ok() {
        queue.helpers += 1;
    }
    for _ in 0..helpers.min(queue.helpers) {
        queue.batches.push(Arc::clone(batch));
        CALL.notify_one();
    }
}

fn help() {
    let mut queue = locked();
    loop {
        match queue.batches.pop() {
            Some(batch) => {
                drop(queue);
                batch.run();
                drop(batch);
                queue = locked();
            }
            None => queue = CALL.wait(queue).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

fn locked() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(count: usize) -> Arc<Vec<AtomicUsize>> {
        Arc::new((0..count).map(|_| AtomicUsize::new(0)).collect())
    }

    #[test]
    fn each_place_is_worked_on_once() {
        for count in [0, 1, 3, 4, 5, 100, 1001] {
            for threads in [0, 1, 2, 5, 1000] {
                let seen = counts(count);
                let inside = Arc::clone(&seen);
                let note = move |place: usize| _ = inside[place].fetch_add(1, Ordering::Relaxed);
                share_out(count, threads, Arc::new(note));
                assert!(seen.iter().all(|times| times.load(Ordering::Relaxed) == 1));
            }
        }
    }

    #[test]
    fn callers_do_not_wait_for_each_other() {
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let sum = Arc::new(AtomicUsize::new(0));
                    let inside = Arc::clone(&sum);
                    let add = move |place| _ = inside.fetch_add(place, Ordering::Relaxed);
                    share_out(1000, 4, Arc::new(add));
                    assert_eq!(sum.load(Ordering::Relaxed), 499_500);
                });
            }
        });
    }

    #[test]
    fn a_panic_in_the_work_hangs_nobody_and_loses_no_helper() {
        let work = |place: usize| assert!(place % 7 != 3, "a bug");
        share_out(100, 3, Arc::new(work));
        each_place_is_worked_on_once();
    }
}
