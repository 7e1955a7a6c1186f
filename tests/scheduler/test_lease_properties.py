"""Whatever happens in whatever order: charged once, by the right side, and no place is lost."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

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
picks = st.integers(0, 1000)


@dataclass
class Story:
    """What happened to one lease, as its gateway and its workers saw it."""

    attempts: list[HeldLease]
    opened: set[int] = field(default_factory=set)
    reported: dict[int, int] = field(default_factory=dict)
    """Completion tokens by attempt, acknowledged."""
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


class LeaseLives(RuleBasedStateMachine):
    """Gateways, workers, a database and a scheduler, each of which may fail at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.desk = Desk(CONFIG)
        self.stories = Stories()
        self.waiting = Waiting()
        self.tokens = 0
        self.run(self.desk.open())
        self.seen_usage = UsageRows()

    # -- what happens ------------------------------------------------------------------------

    @rule(pick=picks, choices=st.integers(1, 3))
    def acquire(self, pick: int, choices: int) -> None:
        self.waiting.append(self.start(self.desk.acquire(seconds=pick % 20, choices=choices)))
        self.harvest()

    @precondition(lambda self: self.waiting)
    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        self.waiting[pick % len(self.waiting)].cancel()
        self.harvest()

    @rule(pick=picks, worker=st.sampled_from(WORKERS))
    def beat(self, pick: int, worker: str) -> None:
        """A worker renews with some of the leases that name it; those it must stop, it stops."""
        self.tokens += 1
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

    @precondition(lambda self: self.stories)
    @rule(pick=picks)
    def settle(self, pick: int) -> None:
        story = self.pick(pick)
        self.tokens += 1
        if story.is_released:
            return
        story.claimed.add(self.tokens)
        settling = self.desk.scheduler.flow.settle(story.latest, claim(story.latest, self.tokens))
        charged = self.ask(settling)
        story.charges += charged is True
        story.is_settled |= charged is not None

    @precondition(lambda self: self.stories)
    @rule(pick=picks)
    def settle_twice_at_once(self, pick: int) -> None:
        story = self.pick(pick)
        if story.is_released:
            return
        self.tokens += 1
        story.claimed.add(self.tokens)
        flow, said = self.desk.scheduler.flow, claim(story.latest, self.tokens)
        first = self.start(flow.settle(story.latest, said))
        second = self.ask(flow.settle(story.latest, said))
        for charged in (second, self.ask(_result(first))):
            story.charges += charged is True
            story.is_settled |= charged is not None

    @precondition(lambda self: self.stories)
    @rule(pick=picks)
    def release(self, pick: int) -> None:
        story = self.pick(pick)
        if not (story.opened or story.claimed or story.reported):
            self.run(self.desk.scheduler.flow.release(story.latest))
            story.is_released = True
        self.harvest()

    @precondition(lambda self: self.stories)
    @rule(pick=picks, which=picks)
    def report(self, pick: int, which: int) -> None:
        story = self.pick(pick)
        lease = story.attempts[which % len(story.attempts)]
        if story.is_released or lease.attempt in story.reported:
            return
        self.tokens += 1
        said = claim(lease, self.tokens, Source.WORKER)
        story.opened.add(lease.attempt)
        reporting = self.desk.scheduler.flow.report(lease, said, "cpu", [])
        if self.ask(reporting, answer=True) is not None:
            story.reported[lease.attempt] = self.tokens

    @precondition(lambda self: self.stories)
    @rule(pick=picks)
    def retry(self, pick: int) -> None:
        story = self.pick(pick)
        if story.is_released or story.claimed:
            return
        granted = self.ask(self.desk.scheduler.flow.retry(story.latest, 2.0))
        story.is_void = granted is None
        if granted is not None:
            story.attempts.append(held(granted))

    @rule(seconds=st.sampled_from([0.5, 1.0, 4.0, 20.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.run(self.desk.advance(seconds))
        self.harvest()

    @rule()
    def sweep(self) -> None:
        self.run(self.desk.sweep())
        self.harvest()

    @rule()
    def database_comes_or_goes(self) -> None:
        self.desk.store.is_away = not self.desk.store.is_away

    @rule(is_kill=st.booleans())
    def restart_scheduler(self, is_kill: bool) -> None:  # noqa: FBT001 - hypothesis gives it by name
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

    @invariant()
    def places_are_held_by_open_leases_alone(self) -> None:
        book = self.desk.scheduler.book
        held_by_records: dict[object, int] = {}
        for record in book.live():
            if record.holds_capacity:
                assert record.place is not None
                choices = record.facts.choices
                held_by_records[record.place] = held_by_records.get(record.place, 0) + choices
        assert dict(book._held) == held_by_records

    @invariant()
    def a_usage_row_never_changes(self) -> None:
        for lease_id, row in self.seen_usage.items():
            assert self.desk.store.usage[lease_id] == row
        self.seen_usage = dict(self.desk.store.usage)

    @invariant()
    def a_settle_charges_at_most_once(self) -> None:
        assert all(story.charges <= 1 for story in self.stories.values())

    @invariant()
    def what_is_charged_is_what_the_right_side_said(self) -> None:
        for lease_id, row in self.desk.store.usage.items():
            story, said = self.stories[lease_id], row.claim
            assert not story.is_released or story.is_uncertain
            if said.source is Source.GATEWAY:
                assert said.counts.completion_tokens in story.claimed
            else:
                assert said.attempt in story.opened or story.is_uncertain
                assert said.attempt == story.latest.attempt or story.is_uncertain

    def teardown(self) -> None:
        """In the end every gateway is gone: what was promised is charged, and nothing is held."""
        self.desk.store.is_away = False
        for task in self.waiting:
            task.cancel()
        self.run(self.desk.settled())
        for _ in range(8):
            self.run(self.desk.advance(20.0))
            self.run(self.desk.sweep())
        try:
            self.check_end()
        finally:
            self.run(self.desk.crash())
            self.loop.close()

    def check_end(self) -> None:
        assert not self.desk.scheduler.book.live()
        assert not self.desk.scheduler.book._held
        assert not any(self.desk.scheduler.admission.waiting().values())
        for lease_id, story in self.stories.items():
            is_charged = lease_id in self.desk.store.usage
            if story.is_settled:
                assert is_charged
            if story.latest.attempt in story.reported and not story.is_void:
                assert is_charged
            if story.latest.attempt in story.opened and not (story.is_void or story.is_uncertain):
                assert is_charged
            if not (story.opened or story.claimed):
                assert not is_charged

    # -- how it is asked ---------------------------------------------------------------------

    def pick(self, pick: int) -> Story:
        stories = list(self.stories.values())
        return stories[pick % len(stories)]

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


TestLeaseLives = LeaseLives.TestCase
TestLeaseLives.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
