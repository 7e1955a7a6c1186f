"""As many workers as are wanted."""

import asyncio
from itertools import pairwise

import pytest

from mesh.ids import Snapshot, WorkerId
from mesh.testing import FakeClock
from scheduler.reconciler import Reconciler, ReconcilerLimits, name_worker
from scheduler.records import Place
from scheduler.testing import FakeDesiredWorkers, FakeWorkerLauncher
from scheduler.workers import Load, Worker, WorkerRegistry, WorkerState

SMALL, LARGE = Snapshot("small-1"), Snapshot("large-1")
W0, W1 = WorkerId("small-1-0"), WorkerId("small-1-1")
LIMITS = ReconcilerLimits(
    hung_seconds=15,
    start_seconds=100,
    stop_seconds=7,
    backoff_seconds=1,
    max_backoff_seconds=4,
    well_seconds=5,
)


class Yard:
    """A reconciler on fakes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.registry = WorkerRegistry(lost_seconds=3)
        self.launcher = FakeWorkerLauncher()
        self.wanted = FakeDesiredWorkers({SMALL: 2})
        self.reconciler = Reconciler(self.launcher, self.registry, self.wanted, self.clock, LIMITS)

    def renew(self, worker_id: WorkerId = W0) -> None:
        place, load = Place(worker_id, "a:1"), Load(slots=1)
        worker = Worker(place, SMALL, WorkerState.READY, load, self.clock.monotonic())
        self.registry.record(worker)

    async def live(self, seconds: int, *renewing: WorkerId) -> None:
        """Let time pass second by second, with these workers renewing."""
        for _ in range(seconds):
            await self.clock.advance(1)
            for worker_id in renewing:
                self.renew(worker_id)
            await self.reconciler.reconcile()


@pytest.fixture
async def yard() -> Yard:
    yard = Yard()
    await yard.reconciler.reconcile()
    return yard


async def test_missing_workers_are_started_once(yard: Yard) -> None:
    assert yard.launcher.running == {W0: SMALL, W1: SMALL}
    await yard.live(3)
    assert yard.launcher.starts == [W0, W1]


async def test_a_worker_that_dies_after_it_was_well_is_replaced_at_once(yard: Yard) -> None:
    await yard.live(10, W0, W1)
    yard.launcher.crash(W0)
    await yard.reconciler.reconcile()
    assert yard.launcher.starts == [W0, W1, W0]


async def test_a_worker_that_keeps_dying_is_started_less_and_less_often(yard: Yard) -> None:
    starts = []
    for second in range(30):
        await yard.clock.advance(1)
        if W0 in yard.launcher.running:
            yard.launcher.crash(W0)
        before = len(yard.launcher.starts)
        await yard.reconciler.reconcile()
        if W0 in yard.launcher.starts[before:]:
            starts.append(second)
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert gaps[:2] == [3, 5]  # noticed a second later, then 2 and 4 seconds of backoff
    assert set(gaps[2:]) == {5}


async def test_a_running_worker_that_falls_silent_is_killed_and_replaced(yard: Yard) -> None:
    await yard.live(10, W0, W1)
    await yard.live(14, W1)
    assert yard.launcher.stops == []
    await yard.live(2, W1)
    assert yard.launcher.stops == [(W0, 0)]
    assert yard.launcher.starts == [W0, W1, W0]


async def test_a_worker_that_never_renews_has_its_time_to_start(yard: Yard) -> None:
    await yard.live(99, W1)
    assert yard.launcher.stops == []
    await yard.live(1, W1)
    assert yard.launcher.stops == [(W0, 0)]


async def test_the_last_words_of_the_incarnation_before_do_not_count(yard: Yard) -> None:
    await yard.live(10, W0, W1)
    yard.launcher.crash(W0)
    await yard.live(30, W1)
    assert yard.launcher.stops == []  # it is still starting


async def test_workers_that_run_already_are_adopted() -> None:
    yard = Yard()
    yard.launcher.running = {W0: SMALL, W1: SMALL}
    await yard.reconciler.reconcile()
    await yard.live(30, W0, W1)
    assert yard.launcher.starts == []
    assert yard.launcher.stops == []


async def test_an_adopted_worker_that_stays_silent_is_replaced() -> None:
    yard = Yard()
    yard.launcher.running = {W0: SMALL, W1: SMALL}
    await yard.reconciler.reconcile()
    await yard.live(101, W1)
    assert yard.launcher.stops == [(W0, 0)]


async def test_workers_that_nobody_wants_may_let_their_sequences_end(yard: Yard) -> None:
    yard.wanted.counts = {SMALL: 1, LARGE: 1}
    await yard.reconciler.reconcile()
    assert yard.launcher.stops == [(W1, 7)]
    assert yard.launcher.running == {W0: SMALL, name_worker(LARGE, 0): LARGE}


async def test_a_launcher_that_is_away_is_waited_for(yard: Yard) -> None:
    await yard.live(10, W0, W1)
    yard.launcher.crash(W0)
    yard.launcher.is_away = True
    running = asyncio.create_task(yard.reconciler.run(1.0))
    await yard.clock.advance(5)
    assert not running.done()
    yard.launcher.is_away = False
    await yard.clock.advance(5)
    assert W0 in yard.launcher.running
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
