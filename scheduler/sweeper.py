"""Closes the leases that nobody closes, and tidies what time makes old."""

import asyncio
from collections.abc import Iterator
from datetime import date
from itertools import islice

import structlog

from mesh.clock import Clock
from mesh.errors import FormworkError
from scheduler import leases
from scheduler.admission import Admission
from scheduler.leases import Patience, Verdict
from scheduler.ledger import Ledger
from scheduler.records import Claim, LeaseRecord, LeaseState
from scheduler.store import LeaseStore
from scheduler.workers import WorkerRegistry

log = structlog.get_logger()

_MOST_CHARGES_AT_ONCE = 500


class Sweeper:
    """Judges quiet leases, once in a while.

    Args:
        ledger: Keeps and charges leases.
        admission: Learns of places that became free.
        registry: Forgets workers that are gone.
        store: Keeps partitions ready.
        clock: Time.
        patience: How long silence is borne.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - each is a part of its own, wired once
        self,
        ledger: Ledger,
        admission: Admission,
        registry: WorkerRegistry,
        store: LeaseStore,
        clock: Clock,
        patience: Patience,
    ) -> None:
        self._ledger = ledger
        self._admission = admission
        self._registry = registry
        self._store = store
        self._clock = clock
        self._patience = patience
        self._partitioned = date.min

    async def run(self, seconds: float) -> None:
        """Sweep every so many seconds until cancelled; a database that is away is waited for."""
        while True:
            try:
                await self.sweep()
            except FormworkError as error:
                log.warning("sweep_failed", reason=error.reason)
            await self._clock.sleep(seconds)

    async def sweep(self) -> None:
        """Close what is overdue and forget what is old.

        Raises:
            DatabaseUnavailableError: The database did not answer; the next sweep goes on.
        """
        try:
            self._void_overdue()
            await self._ensure_partitions()
            await self._ledger.catch_up()
            await self._charge_overdue()
        finally:
            self._registry.forget_silent(self._clock.monotonic())
            self._ledger.book.forget_closed(self._clock.now())
            self._admission.dispatch_all()

    def _overdue(self) -> Iterator[tuple[LeaseRecord, Verdict]]:
        now = self._clock.now()
        for record in self._ledger.book.live():
            verdict = leases.judge(record, now, self._patience)
            if verdict is not None:
                yield record, verdict

    def _void_overdue(self) -> None:
        """Free what nobody opened, which needs no database."""
        for record, verdict in self._overdue():
            if verdict.claim is None:
                _log_swept(record, verdict)
                self._ledger.put_down(leases.close(record, verdict.state))

    async def _charge_overdue(self) -> None:
        async with asyncio.TaskGroup() as group:
            for record, verdict in islice(self._overdue(), _MOST_CHARGES_AT_ONCE):
                if verdict.claim is not None:
                    group.create_task(self._charge(record, verdict.state, verdict.claim))

    async def _charge(self, record: LeaseRecord, state: LeaseState, claim: Claim) -> None:
        try:
            await self._ledger.charge(record, state, claim)
        except FormworkError as error:
            log.warning("charge_failed", lease_id=record.facts.lease_id, reason=error.reason)
        else:
            _log_swept(record, Verdict(state, claim))

    async def _ensure_partitions(self) -> None:
        today = self._clock.now().date()
        if today != self._partitioned:
            await self._store.ensure_partitions(today)
            self._partitioned = today


def _log_swept(record: LeaseRecord, verdict: Verdict) -> None:
    log.info(
        "lease_swept",
        lease_id=record.facts.lease_id,
        was=record.state,
        now=verdict.state,
        settled_by=verdict.claim and verdict.claim.source,
    )
