"""Whatever happens in whatever order: charged once, by the right side, and no place is lost."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.errors import FormworkError, LeaseSettledError
from mesh.ids import LeaseId
from scheduler.config import SchedulerConfig
from scheduler.flow import Granted
from scheduler.records import HeldLease, Source, UsageRow
from scheduler.testing import Desk, claim, held, progress

T = TypeVar("T")
Waiting = list[asyncio.Task[Granted]]
UsageRows = dict[LeaseId, UsageRow]

WORKERS = ("w-0", "w-1")
CONFIG = SchedulerConfig(
    queue_priority=3, queue_default=3, queue_flex=3, queue_batch=3, lease_ttl_seconds=5
)
# Few lives, so that much happens to each.
MOST_STORIES = 4


@dataclass
class Story:
    """What happened to one lease, as its gateway and its workers saw it."""

    attempts: list[HeldLease]
    opened: set[int] = field(default_factory=set)
    reported: dict[int, int] = field(default_factory=dict)
    """Completion tokens by attempt, acknowledged."""
    spooled: dict[int, int] = field(default_factory=dict)
    """Completion tokens by attempt, not acknowledged: their worker reports them again."""
    claimed: set[int] = field(default_factory=set)
    """Completion tokens that the gateway ever said."""
    charges: int = 0
    is_settled: bool = False
    is_released: bool = False
    is_void: bool = False
    """A retry failed: its attempt may have been raised without anybody having a place."""
    is_uncertain: bool = False
    """The scheduler was killed before what it knew of the lease was written."""

    @property
    def latest(self) -> HeldLease:
        return self.attempts[-1]


Stories = dict[LeaseId, Story]


class LeaseLives:
    """Gateways, workers, a database and a scheduler, each of which may fail at any time."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.desk = Desk(CONFIG)
        self.stories = Stories()
        self.waiting = Waiting()
        self.tokens = 0
        self.run(self.desk.open())
        self.seen_usage = UsageRows()

    # -- what happens ------------------------------------------------------------------------

    def acquire(self, pick: int) -> None:
        if len(self.open_stories()) + len(self.waiting) == MOST_STORIES:
            return
        self.wake_workers(pick)
        acquiring = self.desk.acquire(seconds=pick % 20, choices=1 + pick % 3)
        self.waiting.append(self.start(acquiring))
        self.harvest()

    def cancel(self, pick: int) -> None:
        if self.waiting:
            self.waiting[pick % len(self.waiting)].cancel()
        self.harvest()

    def cancel_just_as_it_is_granted(self, pick: int) -> None:
        acquiring = self.start(self.desk.acquire(choices=50))
        self.desk.renew(WORKERS[pick % 2], slots=60)
        acquiring.cancel()
        self.waiting.append(acquiring)
        self.harvest()

    def beat(self, pick: int) -> None:
        """A worker renews with some of the leases that name it."""
        self.tokens += 1
        worker = WORKERS[pick % 2]
        live = [
            (story, lease)
            for story in self.stories.values()
            for lease in story.attempts
            if lease.worker_id == worker
            and not story.is_released
            and lease.attempt not in story.reported
            and (pick + story.latest.attempt) % 3
        ]
        self.desk.renew(worker, *(progress(lease, self.tokens) for _, lease in live), slots=2)
        for story, lease in live:
            story.opened.add(lease.attempt)
        self.harvest()

    def settle(self, pick: int) -> None:
        story = self.find(pick)
        if story is None:
            return
        self.tokens += 1
        story.claimed.add(self.tokens)
        settling = self.desk.scheduler.flow.settle(story.latest, claim(story.latest, self.tokens))
        charged = self.ask(settling)
        story.charges += charged is True
        story.is_settled |= charged is not None

    def settle_twice_at_once(self, pick: int) -> None:
        story = self.find(pick)
        if story is None:
            return
        self.tokens += 1
        story.claimed.add(self.tokens)
        flow, said = self.desk.scheduler.flow, claim(story.latest, self.tokens)
        first = self.start(flow.settle(story.latest, said))
        second = self.ask(flow.settle(story.latest, said))
        for charged in (second, self.ask(_result(first))):
            story.charges += charged is True
            story.is_settled |= charged is not None

    def release(self, pick: int) -> None:
        story = self.find(pick)
        if story is None:
            return
        if not (story.opened or story.claimed or story.reported):
            self.run(self.desk.scheduler.flow.release(story.latest))
            story.is_released = True
        self.harvest()

    def report(self, pick: int) -> None:
        story = self.find(pick)
        if story is None:
            return
        lease = story.attempts[pick // 7 % len(story.attempts)]
        if lease.attempt in story.reported:
            return
        self.tokens += 1
        story.opened.add(lease.attempt)
        story.spooled.setdefault(lease.attempt, self.tokens)
        self.report_spooled(story, lease)

    def retry(self, pick: int) -> None:
        story = self.find(pick)
        if story is None:
            return
        if story.claimed:
            return
        self.wake_workers(pick)
        granted = self.ask(self.desk.scheduler.flow.retry(story.latest, 2.0))
        story.is_void = granted is None
        if granted is not None:
            story.attempts.append(held(granted))

    def time_passes(self, pick: int) -> None:
        self.run(self.desk.advance((0.5, 1.0, 4.0, 20.0)[pick % 4]))
        self.harvest()

    def sweep(self, _pick: int = 0) -> None:
        self.run(self.desk.sweep())
        self.harvest()

    def all_is_quiet_for_long(self, _pick: int = 0) -> None:
        self.run(self.desk.advance(40.0))
        self.sweep()

    def database_comes_or_goes(self, _pick: int = 0) -> None:
        self.desk.store.is_away = not self.desk.store.is_away

    def restart_scheduler(self, pick: int) -> None:
        is_kill = pick % 2 == 0
        if not is_kill:
            self.ask(self.desk.scheduler.journal.flush())
        if is_kill or self.desk.store.is_away:
            for story in self.stories.values():
                story.is_uncertain = True
        for task in self.waiting:
            task.cancel()
        self.run(self.desk.settled())
        self.waiting.clear()
        self.run(self.desk.crash())
        self.run(self.desk.open())

    # -- what must hold ----------------------------------------------------------------------

    def places_are_held_by_open_leases_alone(self) -> None:
        book = self.desk.scheduler.book
        held_by_records: dict[object, Counter[str]] = {}
        for record in book.live():
            if record.holds_capacity:
                assert record.place is not None
                held = held_by_records.setdefault(record.place, Counter())
                held[record.facts.project_id] += record.facts.choices
        assert book._held == held_by_records

    def every_live_lease_is_somebodys(self) -> None:
        for record in self.desk.scheduler.book.live():
            assert record.facts.lease_id in self.stories

    def a_usage_row_never_changes(self) -> None:
        for lease_id, row in self.seen_usage.items():
            assert self.desk.store.usage[lease_id] == row
        self.seen_usage = dict(self.desk.store.usage)

    def a_settle_charges_at_most_once(self) -> None:
        assert all(story.charges <= 1 for story in self.stories.values())

    def what_is_charged_is_what_the_right_side_said(self) -> None:
        for lease_id, row in self.desk.store.usage.items():
            story, said = self.stories[lease_id], row.claim
            assert not story.is_released or story.is_uncertain
            if said.source is Source.GATEWAY:
                assert said.counts.completion_tokens in story.claimed
            else:
                assert said.attempt in story.opened or story.is_uncertain
                assert said.attempt == story.latest.attempt or story.is_uncertain

    def end(self) -> None:
        """In the end every gateway is gone: what was promised is charged, and nothing is held."""
        self.desk.store.is_away = False
        for task in self.waiting:
            task.cancel()
        self.run(self.desk.settled())
        for story in self.stories.values():
            for lease in story.attempts:
                if lease.attempt in story.spooled:
                    self.report_spooled(story, lease)
                    assert lease.attempt in story.reported
        for _ in range(8):
            self.run(self.desk.advance(20.0))
            self.run(self.desk.sweep())
        self.check_end()

    def close(self) -> None:
        for task in self.waiting:
            task.cancel()
        self.run(self.desk.settled())
        self.run(self.desk.crash())
        self.loop.close()

    def check_end(self) -> None:
        assert not self.desk.scheduler.book.live()
        assert not self.desk.scheduler.book._held
        assert not any(self.desk.scheduler.admission.waiting().values())
        for lease_id, story in self.stories.items():
            is_charged = lease_id in self.desk.store.usage
            if story.is_released:
                continue  # the invariant says that it is not charged
            if story.is_settled:
                assert is_charged
            if story.latest.attempt in story.reported and not story.is_void:
                assert is_charged
            if story.latest.attempt in story.opened and not (story.is_void or story.is_uncertain):
                assert is_charged
            if not (story.opened or story.claimed):
                assert not is_charged

    # -- how it is asked ---------------------------------------------------------------------

    def wake_workers(self, pick: int) -> None:
        """Have the workers renew, mostly: who asks while none does waits in vain."""
        for worker in WORKERS if pick % 4 else ():
            self.desk.renew(worker, slots=2)

    def report_spooled(self, story: Story, lease: HeldLease) -> None:
        said = claim(lease, story.spooled[lease.attempt], Source.WORKER)
        reporting = self.desk.scheduler.flow.report(lease, said, "cpu", [])
        if self.ask(reporting, answer=True) is not None:
            story.reported[lease.attempt] = story.spooled.pop(lease.attempt)

    def open_stories(self) -> list[Story]:
        return [
            story
            for lease_id, story in self.stories.items()
            if lease_id not in self.desk.store.usage and not story.is_released
        ]

    def find(self, pick: int) -> Story | None:
        """Return one of the leases, mostly of those that nobody has closed."""
        stories = self.open_stories() if pick % 5 else list(self.stories.values())
        return stories[pick % len(stories)] if stories else None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = self.loop.create_task(work)
        self.run(self.desk.settled())
        return task

    def ask(self, work: Coroutine[Any, Any, T], answer: T | None = None) -> T | None:
        """Return the answer, or None where the call failed; time passes until it is there.

        `answer` stands for an answer that has no value of its own.
        """
        task = self.start(work)
        for _ in range(60):
            if task.done():
                break
            self.run(self.desk.advance(0.25))
        self.harvest()
        if not task.done():
            task.cancel()
            self.run(self.desk.settled())
            return None
        try:
            value = task.result()
        except LeaseSettledError:
            return None
        except FormworkError:
            return None
        return answer if value is None else value

    def harvest(self) -> None:
        """Tell the gateways of the places they got."""
        self.run(self.desk.settled())
        for task in [task for task in self.waiting if task.done()]:
            self.waiting.remove(task)
            if not task.cancelled() and task.exception() is None:
                granted = task.result()
                self.stories[granted.record.facts.lease_id] = Story([held(granted)])


async def _result(task: asyncio.Task[T]) -> T:
    return await task


# Each as often as it stands here.
VERBS = (
    *[LeaseLives.acquire, LeaseLives.beat, LeaseLives.report, LeaseLives.retry] * 6,
    *[LeaseLives.all_is_quiet_for_long] * 4,
    *[LeaseLives.settle, LeaseLives.sweep, LeaseLives.cancel_just_as_it_is_granted] * 2,
    LeaseLives.settle_twice_at_once,
    LeaseLives.release,
    LeaseLives.cancel,
    LeaseLives.time_passes,
    LeaseLives.database_comes_or_goes,
    LeaseLives.restart_scheduler,
)
INVARIANTS = (
    LeaseLives.places_are_held_by_open_leases_alone,
    LeaseLives.every_live_lease_is_somebodys,
    LeaseLives.a_usage_row_never_changes,
    LeaseLives.a_settle_charges_at_most_once,
    LeaseLives.what_is_charged_is_what_the_right_side_said,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(VERBS), st.integers(0, 1000)), min_size=25, max_size=60))
def test_every_lease_is_charged_once_and_no_place_is_lost(
    script: list[tuple[Callable[[LeaseLives, int], None], int]],
) -> None:
    lives = LeaseLives()
    try:
        for verb, pick in script:
            verb(lives, pick)
            for invariant in INVARIANTS:
                invariant(lives)
        lives.end()
    finally:
        lives.close()
