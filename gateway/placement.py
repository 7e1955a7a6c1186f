"""The scheduler as the gateway sees it: places, and what they cost in the end."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
from formwork.scheduler.v1 import scheduler_pb2 as messages

from gateway.config import GatewayConfig
from gateway.metrics import Metrics
from gateway.peer import Peer
from mesh.clock import Clock
from mesh.errors import (
    DeadlineExceededError,
    FormworkError,
    InvalidArgumentError,
    LeaseSettledError,
    NoWorkerError,
    QueueTimeoutError,
)
from mesh.leases import peek_lease

if TYPE_CHECKING:  # exists in the stubs only
    from formwork.scheduler.v1.scheduler_pb2_grpc import SchedulerServiceAsyncStub

log = structlog.get_logger()

_CALL_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0

SERVICE_TIERS = {
    "default": messages.SERVICE_TIER_DEFAULT,
    "priority": messages.SERVICE_TIER_PRIORITY,
    "flex": messages.SERVICE_TIER_FLEX,
}
_TIER_NAMES = {number: name for name, number in SERVICE_TIERS.items()}


@dataclass(frozen=True)
class Place:
    """A lease on a worker; `queued_seconds` were spent waiting for it."""

    lease: messages.SignedLease
    worker_address: str
    queued_seconds: float

    @property
    def service_tier(self) -> str:
        """The tier that the request is served in."""
        return _TIER_NAMES.get(peek_lease(self.lease).service_tier, "default")


class Placement:
    """Gets places from the scheduler and settles them, in tasks that outlive their requests.

    Args:
        peer: The scheduler service.
        config: Deadlines.
        clock: Paces repeated settlements.
        metrics: Counts settlements that failed.
    """

    def __init__(
        self,
        peer: Peer["SchedulerServiceAsyncStub"],
        config: GatewayConfig,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._peer = peer
        self._config = config
        self._clock = clock
        self._metrics = metrics
        self._tasks: set[asyncio.Task[None]] = set()

    async def acquire(self, request: messages.AcquireRequest) -> Place:
        """Return a place, waiting in the queue; cancelling leaves the queue.

        Raises:
            QueueFullError: Also QueueTimeoutError and NoWorkerError: try again later.
        """
        return await self._wait_for_place(self._peer.stub.Acquire, request)

    async def retry(self, place: Place) -> Place:
        """Return another place for the same lease, its attempt raised; raises as `acquire` does."""
        request = messages.RetryRequest(lease=place.lease)
        try:
            return await self._wait_for_place(self._peer.stub.Retry, request)
        except LeaseSettledError as error:
            # Nothing was charged: the sweeper closes a lease that waits longer than leases last.
            raise NoWorkerError(
                "No other worker was found while the lease lasted.", retry_after_seconds=1
            ) from error

    def settle(
        self, place: Place, counts: messages.TokenCounts, outcome: "messages.Outcome.ValueType"
    ) -> None:
        """Charge a lease in the background, tried until it is durable."""
        request = messages.SettleRequest(lease=place.lease, counts=counts, outcome=outcome)
        self._own(self._insist(self._peer.stub.Settle, request, "settle"))

    def release(self, place: Place) -> None:
        """Give back a lease that was never opened, in the background."""
        request = messages.ReleaseRequest(lease=place.lease)
        self._own(self._insist(self._peer.stub.Release, request, "release"))

    async def drain(self) -> None:
        """Return once every settlement has ended."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _wait_for_place(self, method: Any, request: object) -> Place:  # noqa: ANN401 - a stub's method
        seconds = self._config.queue_seconds
        try:
            answer = await self._peer.call(method, request, timeout_seconds=seconds)
        except DeadlineExceededError as error:
            raise QueueTimeoutError("No place within the time to wait for one.") from error
        return Place(answer.lease, answer.worker_address, answer.queued.ToNanoseconds() / 1e9)

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _insist(self, method: Any, request: object, name: str) -> None:  # noqa: ANN401 - a stub's method
        """Call an idempotent method until it answers, or has no chance to.

        What stays undone, the scheduler's sweeper and the worker's own report make good.
        """
        until = self._clock.monotonic() + self._config.settle_seconds
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._peer.call(method, request, timeout_seconds=_CALL_SECONDS)
            except FormworkError as error:
                if not _may_pass(error) or self._clock.monotonic() + pause > until:
                    self._metrics.settlements_failed.inc()
                    log.exception("settlement_failed", method=name, reason=error.reason)
                    return
                await self._clock.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            else:
                return


def _may_pass(error: FormworkError) -> bool:
    """Return whether a failed settlement may succeed later."""
    return not isinstance(error, InvalidArgumentError | LeaseSettledError)
