"""The steps of a lease: Acquire, Retry, Settle, Release, Report, Renew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from mesh.clock import Clock
from mesh.ids import LeaseId, WorkerId
from scheduler import leases
from scheduler.admission import Admission, Ticket
from scheduler.leases import Patience
from scheduler.ledger import Ledger
from scheduler.records import (
    Claim,
    Counts,
    HeldLease,
    LeaseFacts,
    LeaseRecord,
    LeaseState,
    Place,
    ReportRow,
)
from scheduler.workers import Worker, WorkerRegistry

log = structlog.get_logger()


@dataclass(frozen=True)
class Granted:
    """A lease with a place, and how long that took."""

    record: LeaseRecord
    place: Place
    queued_seconds: float


@dataclass(frozen=True)
class Progress:
    """A live lease as its worker shows it."""

    held: HeldLease
    counts: Counts


class LeaseFlow:
    """What gateways and workers ask of the scheduler.

    Args:
        ledger: Keeps and charges leases.
        admission: Finds places.
        registry: Learns workers.
        clock: Time.
        patience: How long leases live.
        checkpoint_seconds: How often a worker's progress is written.
    """

    def __init__(  # noqa: PLR0913 - each is a part of its own, wired once
        self,
        ledger: Ledger,
        admission: Admission,
        registry: WorkerRegistry,
        clock: Clock,
        patience: Patience,
        *,
        checkpoint_seconds: float,
    ) -> None:
        self._ledger = ledger
        self._admission = admission
        self._registry = registry
        self._clock = clock
        self._patience = patience
        self._checkpoint_seconds = checkpoint_seconds
        self._written_at: dict[WorkerId, float] = {}

    async def acquire(
        self, facts: LeaseFacts, affinity: str, seconds: float, *, has_fallback: bool = False
    ) -> Granted:
        """Return a lease on a worker, after the wait its tier's queue asks for.

        The database hears of it afterwards. Cancelled, it leaves the queue and holds nothing.

        Args:
            facts: Of a new lease.
            affinity: Hash of the prompt's prefix; empty for none.
            seconds: Longest wait.
            has_fallback: A worker that is not there is not waited for.

        Raises:
            QueueFullError, QueueTimeoutError, NoWorkerError, DrainingError: No place.
        """
        ticket = Ticket(
            facts.snapshot,
            facts.tier,
            facts.project_id,
            facts.choices,
            affinity,
            grant=lambda place: leases.grant(facts, place, self._clock.now(), self._patience),
            revoke=lambda record: leases.close(record, LeaseState.RELEASED),
            has_fallback=has_fallback,
        )
        return await self._place(ticket, seconds)

    async def retry(self, held: HeldLease, seconds: float) -> Granted:
        """Return the lease's next attempt on a worker; the attempt before is void from the start.

        Cancelled, the lease stays at the raised attempt without a place, to be retried again.

        Raises:
            LeaseSettledError: The lease is over.
            QueueFullError, QueueTimeoutError, NoWorkerError, DrainingError: No place.
            DatabaseUnavailableError: A lease of before a restart cannot be looked up.
        """
        known = await self._ledger.recall(held)
        raised = leases.raise_attempt(known, self._clock.now(), self._patience)
        self._ledger.put_down(raised)
        facts = raised.facts
        self._admission.dispatch(facts.snapshot)
        ticket = Ticket(
            facts.snapshot,
            facts.tier,
            facts.project_id,
            facts.choices,
            "",
            grant=lambda place: self._place_again(facts.lease_id, raised.attempt, place),
            revoke=leases.displace,
            avoid=known.place,
        )
        return await self._place(ticket, seconds)

    async def settle(self, held: HeldLease, claim: Claim) -> bool:
        """Return whether this call charged the lease, once that is durable.

        Its place is free at once. A gateway that is told to try again does so with the same claim;
        should it die, the sweeper charges this claim.

        Raises:
            DatabaseUnavailableError: Not durable; says when to try again.
        """
        known = await self._ledger.recall(held)
        if known.is_final:
            await self._keep_late_claim(known, claim)
            return False
        settling = self._ledger.put(leases.settle(known, claim, self._clock.now()))
        self._admission.dispatch(held.facts.snapshot)
        return await self._ledger.charge(settling, LeaseState.SETTLED, settling.settlement or claim)

    async def release(self, held: HeldLease) -> None:
        """Give back a lease that was never opened; nothing is charged, now or later."""
        known = self._ledger.remember(held)
        if known.is_final or known.settlement is not None:
            return
        self._ledger.put_down(leases.close(known, LeaseState.RELEASED))
        self._admission.dispatch(held.facts.snapshot)

    async def report(
        self,
        held: HeldLease,
        claim: Claim,
        served_by: str,
        events: Sequence[Mapping[str, object]],
    ) -> None:
        """Return once the worker's claim is durable; the sweeper charges it if the gateway is gone.

        Raises:
            DatabaseUnavailableError: Not durable; says when to try again.
        """
        now = self._clock.now()
        known = await self._ledger.recall(held)
        # The row apart from the report: should that fail, a restart must know it was opened.
        reported = self._ledger.put_down(leases.report(known, claim, now))
        self._admission.dispatch(held.facts.snapshot)
        row = ReportRow(held.facts, claim, now, served_by, tuple(events))
        await self._ledger.record_report(reported, row)

    def renew(self, worker: Worker, progress: Sequence[Progress]) -> Sequence[LeaseId]:
        """Take a worker's heartbeat; return the leases whose sequences it has to stop."""
        self._registry.record(worker)
        stops: list[LeaseId] = []
        is_due = self._is_checkpoint_due(worker.place.worker_id)
        for live in progress:
            known = self._ledger.remember(live.held)
            is_elsewhere = live.held.worker_id != worker.place.worker_id
            if not is_elsewhere and not leases.must_stop(known, live.held.attempt):
                self._advance(known, live, worker.place, is_due=is_due)
            elif not leases.lives_at(known, worker.place, after=live.held.attempt):
                stops.append(known.facts.lease_id)
        self._admission.dispatch(worker.snapshot)
        return stops

    def _advance(self, known: LeaseRecord, live: Progress, at: Place, *, is_due: bool) -> None:
        now = self._clock.now()
        renewed = leases.renew(known, live.held.attempt, live.counts, at, now)
        # That it was opened is written at once: without it a restart would take it for void.
        if is_due or known.state is not LeaseState.OPENED or known.attempt != renewed.attempt:
            self._ledger.put_down(renewed)
        else:
            self._ledger.put(renewed)

    def _is_checkpoint_due(self, worker_id: WorkerId) -> bool:
        now = self._clock.monotonic()
        written_at = self._written_at.get(worker_id)
        if written_at is not None and now - written_at < self._checkpoint_seconds:
            return False
        self._written_at[worker_id] = now
        return True

    async def _place(self, ticket: Ticket, seconds: float) -> Granted:
        since = self._clock.monotonic()
        record, place = await self._admission.place(ticket, seconds)
        self._ledger.put_down(record)
        return Granted(record, place, self._clock.monotonic() - since)

    def _place_again(self, lease_id: LeaseId, attempt: int, at: Place) -> LeaseRecord:
        known = self._ledger.book.get(lease_id)
        return leases.place(known, attempt, at, self._clock.now(), self._patience)

    async def _keep_late_claim(self, known: LeaseRecord, claim: Claim) -> None:
        """Keep what a gateway says after the sweeper gave it up, for whoever reconciles."""
        if known.state is LeaseState.SWEPT:
            row = ReportRow(known.facts, claim, self._clock.now())
            await self._ledger.record_report(known, row)
