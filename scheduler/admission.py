"""Waiting for a place: tickets in queues, handed to workers as they have room."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mesh.clock import Clock
from mesh.errors import DrainingError, FormworkError, NoWorkerError, QueueTimeoutError
from mesh.ids import ProjectId, Snapshot
from scheduler.book import LeaseBook
from scheduler.placement import Candidate, PrefixHolders, capacity_of, choose, share_of
from scheduler.queues import QueueLimits, TierQueues
from scheduler.records import LeaseRecord, Place, Tier
from scheduler.workers import Worker, WorkerRegistry

_WORKER_RETRY_SECONDS = 2.0
# A worker that is started or replaced is there within one such wait, with Ray's head within two.
_WAITS_TO_GIVE_UP = 3


@dataclass(frozen=True)
class AdmissionLimits:
    """Bounds of waiting."""

    queues: QueueLimits
    no_worker_seconds: float
    """How long a request waits while its snapshot has no worker."""
    oversubscription: float


@dataclass(eq=False)
class Ticket:
    """A request that waits; it must be made on the event loop that grants it."""

    snapshot: Snapshot
    tier: Tier
    project: ProjectId
    choices: int
    affinity: str
    grant: Callable[[Place], LeaseRecord]
    """Makes the record that holds the place; what it raises ends the wait."""
    revoke: Callable[[LeaseRecord], LeaseRecord]
    """Makes the record of a grant that nobody heard of."""
    avoid: Place | None = None
    """A worker that just failed the request; not tried again before it has renewed."""
    has_fallback: bool = False
    """Another snapshot would do: a worker that is not there is not waited for."""
    since: float = field(init=False, default=0.0)
    """When it was put into its queue, monotonic seconds."""
    granted: asyncio.Future[tuple[LeaseRecord, Place]] = field(init=False)

    def __post_init__(self) -> None:
        self.granted = asyncio.get_running_loop().create_future()


class Admission:
    """Gives tickets places, in the order of their queues.

    Args:
        book: Counts what is held.
        registry: Knows who could take more.
        clock: Time.
        limits: Bounds.
    """

    def __init__(
        self, book: LeaseBook, registry: WorkerRegistry, clock: Clock, limits: AdmissionLimits
    ) -> None:
        self._book = book
        self._registry = registry
        self._clock = clock
        self._limits = limits
        self._queues: dict[Snapshot, TierQueues[Ticket]] = {}
        self._holders = PrefixHolders()
        self._draining = False

    async def place(self, ticket: Ticket, seconds: float) -> tuple[LeaseRecord, Place]:
        """Return the granted lease and where; a caller that is cancelled leaves nothing behind.

        Args:
            ticket: Not yet waiting.
            seconds: Longest wait.

        Raises:
            QueueFullError: Too many wait in its tier.
            QueueTimeoutError: No place became free in time.
            NoWorkerError: No worker of its snapshot is up.
            DrainingError: The process is going away.
        """
        if self._draining:
            raise DrainingError("The scheduler is going away.")
        if not self._is_worth_waiting(ticket):
            raise _no_worker(ticket)
        ticket.since = self._clock.monotonic()
        queue = self._queue(ticket.snapshot)
        queue.add(ticket.tier, ticket.project, ticket)
        try:
            self.dispatch(ticket.snapshot)
            return await self._wait(ticket, self._clock.monotonic() + seconds)
        except BaseException:
            self._leave(ticket)
            raise

    def dispatch(self, snapshot: Snapshot) -> None:
        """Hand out the places that are free; called whenever one may have become so."""
        queue = self._queue(snapshot)
        while (ticket := queue.peek()) is not None:
            # Who is next waits for room: letting smaller requests pass would starve large ones.
            place = self._choose(ticket)
            if place is None:
                break
            queue.take(self._clock.monotonic())
            self._grant(ticket, place)
        while self._keeps_room(snapshot) and any(map(self._pass, queue.firsts())):
            pass

    def _keeps_room(self, snapshot: Snapshot) -> bool:
        """Return whether some worker has room for a project that holds nothing there."""
        ready = self._registry.ready(snapshot, self._clock.monotonic())
        return any(self._candidate(worker, None).fits_newcomer(1) for worker in ready)

    def _pass(self, ticket: Ticket) -> bool:
        """Grant a ticket before its turn, where a worker keeps room for projects without any."""
        workers = [one for one in self._workers(ticket) if not self._held(one, ticket.project)]
        candidates = [self._candidate(worker, ticket.project) for worker in workers]
        place = choose(candidates, ticket.choices, avoid=ticket.avoid)
        if place is None:
            return False
        self._queue(ticket.snapshot).discard(ticket)
        self._grant(ticket, place)
        return True

    def dispatch_all(self) -> None:
        """Hand out the places that are free, for every snapshot."""
        for snapshot in list(self._queues):
            self.dispatch(snapshot)

    def waiting(self) -> Mapping[Tier, int]:
        """Return how many wait, by tier, over all snapshots."""
        sizes = [queue.sizes() for queue in self._queues.values()]
        return {tier: sum(size[tier] for size in sizes) for tier in Tier}

    def drain(self) -> None:
        """Send away whoever waits, and whoever comes."""
        self._draining = True
        for queue in self._queues.values():
            while (ticket := queue.take(self._clock.monotonic())) is not None:
                _fail(ticket, DrainingError("The scheduler is going away."))

    async def _wait(self, ticket: Ticket, deadline: float) -> tuple[LeaseRecord, Place]:
        while True:
            was_missing = not self._has_workers(ticket.snapshot)
            remaining = deadline - self._clock.monotonic()
            if await self._granted_within(ticket, min(remaining, self._limits.no_worker_seconds)):
                return ticket.granted.result()
            is_late = self._clock.monotonic() >= deadline
            if not self._has_workers(ticket.snapshot) and (was_missing or is_late):
                raise _no_worker(ticket)
            if is_late:
                raise self._timeout(ticket)

    async def _granted_within(self, ticket: Ticket, seconds: float) -> bool:
        if ticket.granted.done() or seconds <= 0:
            return ticket.granted.done()
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        either: set[asyncio.Future[Any]] = {ticket.granted, timer}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
        return ticket.granted.done()

    def _grant(self, ticket: Ticket, place: Place) -> None:
        try:
            record = self._book.put(ticket.grant(place), self._clock.now())
        except FormworkError as error:
            _fail(ticket, error)
            return
        self._holders.record(ticket.affinity, place)
        ticket.granted.set_result((record, place))

    def _leave(self, ticket: Ticket) -> None:
        self._queue(ticket.snapshot).discard(ticket)
        if not ticket.granted.done():
            ticket.granted.cancel()
        elif ticket.granted.exception() is None:
            granted, _ = ticket.granted.result()
            record = self._book.get(granted.facts.lease_id)
            self._book.put(ticket.revoke(record), self._clock.now())
        self.dispatch(ticket.snapshot)

    def _timeout(self, ticket: Ticket) -> QueueTimeoutError:
        return QueueTimeoutError(
            "No place became free in time.",
            metadata={"service_tier": ticket.tier},
            retry_after_seconds=self._queue(ticket.snapshot).wait_seconds(ticket.tier),
        )

    def _choose(self, ticket: Ticket) -> Place | None:
        holder = self._holders.find(ticket.affinity)
        candidates = [self._candidate(one, ticket.project) for one in self._workers(ticket)]
        return choose(candidates, ticket.choices, holder, ticket.avoid)

    def _workers(self, ticket: Ticket) -> list[Worker]:
        ready = self._registry.ready(ticket.snapshot, self._clock.monotonic())
        return [worker for worker in ready if not _failed(worker, ticket)]

    def _held(self, worker: Worker, project: ProjectId) -> int:
        return self._book.held_by_project(worker.place).get(project, 0)

    def _candidate(self, worker: Worker, project: ProjectId | None) -> Candidate:
        """Return a worker as a project sees it; None: one that holds nothing there."""
        held, slots = self._book.held_by_project(worker.place), worker.load.slots
        capacity = capacity_of(slots, self._limits.oversubscription)
        share = share_of(slots, capacity)
        return Candidate(
            place=worker.place,
            slots=slots,
            capacity=capacity,
            granted=sum(min(sequences, share) for sequences in held.values()),
            waiting=worker.load.waiting,
            own=0 if project is None else held.get(project, 0),
        )

    def _has_workers(self, snapshot: Snapshot) -> bool:
        return bool(self._registry.ready(snapshot, self._clock.monotonic()))

    def _is_worth_waiting(self, ticket: Ticket) -> bool:
        """Tell whether there is a worker, or one may still come: not where it is long overdue."""
        if self._has_workers(ticket.snapshot):
            return True
        if ticket.has_fallback:
            return False
        now, snapshot = self._clock.monotonic(), ticket.snapshot
        longest = _WAITS_TO_GIVE_UP * self._limits.no_worker_seconds
        is_overdue = self._registry.missing_seconds(snapshot, now) >= longest
        return not is_overdue or self._registry.is_starting(snapshot, now)

    def _queue(self, snapshot: Snapshot) -> TierQueues[Ticket]:
        return self._queues.setdefault(snapshot, TierQueues(self._limits.queues))


def _failed(worker: Worker, ticket: Ticket) -> bool:
    """Return whether the worker failed the ticket's request and has not been heard of since.

    A worker that was killed counts as ready for some seconds more, and would fail each attempt.
    """
    return worker.place == ticket.avoid and worker.seen_at < ticket.since


def _no_worker(ticket: Ticket) -> NoWorkerError:
    return NoWorkerError(
        f"No worker serves {ticket.snapshot}.",
        metadata={"model": ticket.snapshot},
        retry_after_seconds=_WORKER_RETRY_SECONDS,
    )


def _fail(ticket: Ticket, error: FormworkError) -> None:
    if not ticket.granted.done():
        ticket.granted.set_exception(error)
