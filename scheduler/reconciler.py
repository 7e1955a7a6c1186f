"""Keeps as many workers running as are wanted: starts, replaces and stops them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from mesh.clock import Clock
from mesh.ids import Snapshot, WorkerId
from mesh.models import ModelTable
from scheduler.launcher import LaunchError, WorkerLauncher
from scheduler.workers import WorkerRegistry

log = structlog.get_logger()

_LONGEST_PAUSE_SECONDS = 5.0
_MOST_DOUBLINGS = 16  # keeps the power of two within a float, whatever the failures


class DesiredWorkers(Protocol):
    """Says how many workers each snapshot should have: where autoscaling goes."""

    def desired(self) -> Mapping[Snapshot, int]:
        """Return the number by snapshot, as of now."""


class ConfiguredWorkers:
    """As many as the model table says.

    Args:
        models: Its `workers`.
    """

    def __init__(self, models: ModelTable) -> None:
        self._counts = {snapshot: entry.workers for snapshot, entry in models.entries.items()}

    def desired(self) -> Mapping[Snapshot, int]:
        """Return the number by snapshot."""
        return self._counts


@dataclass(frozen=True)
class ReconcilerLimits:
    """How patient the reconciler is, in seconds."""

    hung_seconds: float
    start_seconds: float
    stop_seconds: float
    backoff_seconds: float
    max_backoff_seconds: float
    well_seconds: float = 5.0
    """A worker that renewed for this long after its start is replaced at once when it ends."""


@dataclass
class Slot:
    """One worker that should run, through all its incarnations."""

    worker_id: WorkerId
    snapshot: Snapshot
    since: float | None = None
    """When the incarnation that runs was started or found, in monotonic seconds."""
    failures: int = 0
    """Incarnations in a row that ended before they were well."""
    not_before: float = field(default=float("-inf"))


def name_worker(snapshot: Snapshot, index: int) -> WorkerId:
    """Return the id of a snapshot's n-th worker; its replacement has the same, and its spool."""
    return WorkerId(f"{snapshot}-{index}")


class Reconciler:
    """Compares what runs with what should.

    Args:
        launcher: Runs workers.
        registry: Knows which renew.
        wanted: How many.
        clock: Time.
        limits: Patience.
    """

    def __init__(
        self,
        launcher: WorkerLauncher,
        registry: WorkerRegistry,
        wanted: DesiredWorkers,
        clock: Clock,
        limits: ReconcilerLimits,
    ) -> None:
        self._launcher = launcher
        self._registry = registry
        self._wanted = wanted
        self._clock = clock
        self._limits = limits
        self._slots: dict[WorkerId, Slot] = {}

    async def run(self, seconds: float) -> None:
        """Reconcile every so many seconds until cancelled; rarer while the launcher is away."""
        pause = seconds
        while True:
            try:
                await self.reconcile()
                pause = seconds
            except* LaunchError as group:
                log.warning("reconcile_failed", errors=[str(error) for error in group.exceptions])
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            await self._clock.sleep(pause)

    async def reconcile(self) -> None:
        """Take one step towards what is wanted.

        Raises:
            ExceptionGroup: Of LaunchErrors; the next step goes on.
        """
        self._renew_slots()
        async with asyncio.TaskGroup() as group:
            running = await self._launcher.list_workers()
            for worker_id in running - self._slots.keys():
                group.create_task(self._stop(worker_id, self._limits.stop_seconds, "surplus"))
            for slot in self._slots.values():
                self._judge(slot, group, is_running=slot.worker_id in running)

    def _renew_slots(self) -> None:
        names = {
            name_worker(snapshot, index): snapshot
            for snapshot, count in self._wanted.desired().items()
            for index in range(count)
        }
        self._slots = {
            worker_id: self._slots.get(worker_id) or Slot(worker_id, snapshot)
            for worker_id, snapshot in names.items()
        }

    def _judge(self, slot: Slot, group: asyncio.TaskGroup, *, is_running: bool) -> None:
        now = self._clock.monotonic()
        if not is_running:
            if slot.since is not None:
                self._count_failure(slot, now)
            if now >= slot.not_before:
                group.create_task(self._start(slot))
        elif slot.since is None:
            slot.since = now  # found: it runs since before this scheduler
        elif self._is_silent(slot, now):
            group.create_task(self._stop(slot.worker_id, 0, "silent"))

    def _count_failure(self, slot: Slot, now: float) -> None:
        log.warning("worker_gone", worker_id=slot.worker_id, snapshot=slot.snapshot)
        slot.failures = 0 if self._was_well(slot) else slot.failures + 1
        slot.since = None
        slot.not_before = now + self._backoff(slot.failures)

    async def _start(self, slot: Slot) -> None:
        slot.since = self._clock.monotonic()
        log.info("worker_starting", worker_id=slot.worker_id, snapshot=slot.snapshot)
        await self._launcher.start(slot.worker_id, slot.snapshot)

    async def _stop(self, worker_id: WorkerId, grace_seconds: float, why: str) -> None:
        log.warning("worker_stopping", worker_id=worker_id, why=why)
        await self._launcher.stop(worker_id, grace_seconds=grace_seconds)

    def _is_silent(self, slot: Slot, now: float) -> bool:
        seen_at = self._seen_at(slot)
        if seen_at is not None:
            return now - seen_at >= self._limits.hung_seconds
        return slot.since is not None and now - slot.since >= self._limits.start_seconds

    def _backoff(self, failures: int) -> float:
        if not failures:
            return 0.0
        doubled = self._limits.backoff_seconds * 2.0 ** min(failures - 1, _MOST_DOUBLINGS)
        return min(doubled, self._limits.max_backoff_seconds)

    def _was_well(self, slot: Slot) -> bool:
        seen_at = self._seen_at(slot)
        return seen_at is not None and seen_at - (slot.since or 0.0) >= self._limits.well_seconds

    def _seen_at(self, slot: Slot) -> float | None:
        """Return when the incarnation that runs last renewed."""
        worker = self._registry.find(slot.worker_id)
        if worker is None or slot.since is None or worker.seen_at < slot.since:
            return None
        return worker.seen_at
