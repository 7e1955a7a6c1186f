"""Fakes of the scheduler's protocols, for unit tests."""

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, TypeVar

from mesh.errors import DatabaseUnavailableError, FormworkError
from mesh.ids import KeyId, LeaseId, ProjectId, RequestId, Snapshot, WorkerId, new_id
from mesh.testing import FakeClock
from scheduler.config import SchedulerConfig
from scheduler.flow import Granted, Progress
from scheduler.journal import newest_leases
from scheduler.launcher import LaunchError
from scheduler.records import (
    LIVE_STATES,
    Claim,
    Counts,
    Entry,
    HeldLease,
    LeaseFacts,
    LeaseRecord,
    Outcome,
    Place,
    ReportRow,
    Source,
    Tier,
    UsageRow,
)
from scheduler.wiring import Scheduler, build_scheduler
from scheduler.workers import Load, Worker, WorkerState

SNAPSHOT = Snapshot("small-1")
# Turns of the event loop after which everything has run that needs no time to pass.
_ROUNDS = 20
_STEP_SECONDS = 0.1

T = TypeVar("T")

ReportKey = tuple[LeaseId, int, Source]


class FakeLeaseStore:
    """A LeaseStore in memory, which can be away."""

    def __init__(self) -> None:
        self.is_away = False
        self.leases: dict[LeaseId, LeaseRecord] = {}
        self.reports: dict[ReportKey, ReportRow] = {}
        self.usage: dict[LeaseId, UsageRow] = {}
        self.partitioned: list[date] = []

    async def write(self, entries: Sequence[Entry]) -> Sequence[bool]:
        """Write entries together; return for each whether its usage row was new."""
        self._answer()
        for record in newest_leases(entries):
            self._write_lease(record)
        for report in (report for entry in entries for report in entry.reports):
            key = (report.facts.lease_id, report.claim.attempt, report.claim.source)
            self.reports.setdefault(key, report)
        return [self._write_usage(entry.usage) for entry in entries]

    async def find(self, leases: Sequence[LeaseFacts]) -> Sequence[LeaseRecord]:
        """Return what is known of these leases; those without a row are left out."""
        self._answer()
        return [
            self._with_report(self.leases[facts.lease_id])
            for facts in leases
            if facts.lease_id in self.leases
        ]

    async def find_live(self) -> Sequence[LeaseRecord]:
        """Return the leases that were not closed, with their reports."""
        self._answer()
        return [
            self._with_report(record)
            for record in self.leases.values()
            if record.state in LIVE_STATES
        ]

    async def ensure_partitions(self, today: date) -> None:
        """Remember that partitions were asked for."""
        self._answer()
        self.partitioned.append(today)

    async def close(self) -> None:
        """Hold nothing."""

    def _answer(self) -> None:
        if self.is_away:
            raise DatabaseUnavailableError("The database does not answer.")

    def _write_lease(self, record: LeaseRecord) -> None:
        known = self.leases.get(record.facts.lease_id)
        if known is None or not (known.is_final or known.attempt > record.attempt):
            prompt = record.facts.prompt_tokens
            kept = replace(record.checkpoint, prompt_tokens=prompt)
            self.leases[record.facts.lease_id] = replace(
                record, checkpoint=kept, report=None, settlement=None
            )

    def _write_usage(self, usage: UsageRow | None) -> bool:
        if usage is None or usage.facts.lease_id in self.usage:
            return False
        self.usage[usage.facts.lease_id] = usage
        return True

    def _with_report(self, record: LeaseRecord) -> LeaseRecord:
        report = self.reports.get((record.facts.lease_id, record.attempt, Source.WORKER))
        return replace(record, report=report.claim if report else None)


class FakeWorkerLauncher:
    """A WorkerLauncher whose workers exist in name only."""

    def __init__(self) -> None:
        self.is_away = False
        self.running: dict[WorkerId, Snapshot] = {}
        self.starts: list[WorkerId] = []
        self.stops: list[tuple[WorkerId, float]] = []

    async def start(self, worker_id: WorkerId, snapshot: Snapshot) -> None:
        """Start a worker; one that runs under this id stays."""
        self._answer()
        if worker_id not in self.running:
            self.running[worker_id] = snapshot
            self.starts.append(worker_id)

    async def stop(self, worker_id: WorkerId, *, grace_seconds: float) -> None:
        """Stop a worker; nothing happens where there is none."""
        self._answer()
        if self.running.pop(worker_id, None) is not None:
            self.stops.append((worker_id, grace_seconds))

    async def list_workers(self) -> frozenset[WorkerId]:
        """Return the workers that run."""
        self._answer()
        return frozenset(self.running)

    async def close(self) -> None:
        """Let go of nothing."""

    def crash(self, worker_id: WorkerId) -> None:
        """End a worker's process."""
        del self.running[worker_id]

    def _answer(self) -> None:
        if self.is_away:
            raise LaunchError("The place where workers run does not answer.")


class FakeDesiredWorkers:
    """Wants what the test says.

    Args:
        counts: By snapshot.
    """

    def __init__(self, counts: Mapping[Snapshot, int]) -> None:
        self.counts = counts

    def desired(self) -> Mapping[Snapshot, int]:
        """Return the number by snapshot."""
        return self.counts


class Desk:
    """A scheduler on fakes with its journal running, and short ways to ask it.

    Args:
        config: Its configuration.
    """

    def __init__(self, config: SchedulerConfig) -> None:
        self.config = config
        self.clock = FakeClock()
        self.store = FakeLeaseStore()
        self.scheduler: Scheduler
        self._writer: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start a scheduler over the store as it is: the first one, or the next after a crash."""
        self.scheduler = build_scheduler(self.config, self.store, self.clock)
        self._writer = asyncio.create_task(self.scheduler.journal.run())
        await asyncio.sleep(0)

    async def crash(self) -> None:
        """End the scheduler as a kill does: nothing is flushed."""
        if self._writer is not None:
            self._writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writer

    async def settled(self) -> None:
        """Let everything that can run without time passing run."""
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)

    def renew(
        self,
        worker_id: str = "w-0",
        *progress: Progress,
        slots: int = 4,
        state: WorkerState = WorkerState.READY,
        address: str = "",
    ) -> list[str]:
        """Send a worker's heartbeat; return what it has to stop."""
        worker = Worker(
            Place(WorkerId(worker_id), address or f"{worker_id}:1"),
            SNAPSHOT,
            state,
            Load(slots=slots),
            self.clock.monotonic(),
        )
        return list(self.scheduler.flow.renew(worker, progress))

    async def acquire(self, seconds: float = 5.0, **changes: Any) -> Granted:  # noqa: ANN401 - fields of LeaseFacts
        """Return a lease on a worker; `changes` are fields of its facts."""
        return await self.scheduler.flow.acquire(self.facts(**changes), "", seconds)

    def facts(self, **changes: Any) -> LeaseFacts:  # noqa: ANN401 - fields of LeaseFacts
        """Return the facts of a lease issued now."""
        return make_facts(issued_at=self.clock.now(), **changes)

    async def advance(self, seconds: float) -> None:
        """Let time pass, and everything run that waited for it."""
        await self.settled()  # who sleeps has to be asleep before the clock moves
        await self.clock.advance(seconds)
        await self.settled()

    async def sweep(self) -> None:
        """Sweep once; a database that is away is the next sweep's affair."""
        with contextlib.suppress(FormworkError):
            await self.finish(self.scheduler.sweeper.sweep())

    async def finish(self, work: Coroutine[Any, Any, T], seconds: float = 10.0) -> T:
        """Return what a step answers, letting so much time pass until it does."""
        task = asyncio.ensure_future(work)
        await self.settled()
        for _ in range(int(seconds / _STEP_SECONDS)):
            if task.done():
                break
            await self.advance(_STEP_SECONDS)
        return await task


def make_facts(**changes: Any) -> LeaseFacts:  # noqa: ANN401 - fields of LeaseFacts
    """Return the facts of a new lease, with these fields instead of the usual ones."""
    usual = LeaseFacts(
        lease_id=LeaseId(new_id("lease")),
        request_id=RequestId("req_1"),
        project_id=ProjectId("proj_1"),
        key_id=KeyId("key_1"),
        snapshot=SNAPSHOT,
        tier=Tier.DEFAULT,
        prompt_tokens=10,
        max_completion_tokens=100,
        choices=1,
        issued_at=FakeClock().now(),
    )
    return replace(usual, **changes)


def held(granted: Granted) -> HeldLease:
    """Return a granted lease as its holder shows it."""
    record = granted.record
    return HeldLease(record.facts, record.attempt, granted.place.worker_id, record.expires_at)


def claim(lease: HeldLease, completion: int, source: Source = Source.GATEWAY) -> Claim:
    """Return what one side says of a lease: its prompt, and so many completion tokens."""
    counts = Counts(lease.facts.prompt_tokens, 0, completion)
    return Claim(lease.attempt, counts, Outcome.COMPLETED, source)


def progress(lease: HeldLease, completion: int = 0) -> Progress:
    """Return a live lease as its worker shows it."""
    return Progress(lease, Counts(lease.facts.prompt_tokens, 0, completion))
