"""The worker's heartbeat: how it is and how far its leases are; what to stop."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog
from formwork.scheduler.v1 import scheduler_pb2

from mesh.channels import Caller
from mesh.clock import Clock
from mesh.errors import FormworkError
from sampler_service.load import Load

log = structlog.get_logger()


@dataclass(frozen=True)
class HeartbeatTimes:
    """Seconds: between two beats, until one is given up, until the scheduler counts as lost."""

    renew_seconds: float
    timeout_seconds: float
    lost_seconds: float


@dataclass(frozen=True)
class HeartbeatActions:
    """What a beat does at its worker.

    `describe` returns the request to send; `stop_leases` is called with the leases whose sequences
    must stop; `lose` with True when the scheduler has been away for too long, with False when it is
    back.
    """

    describe: Callable[[], scheduler_pb2.RenewRequest]
    stop_leases: Callable[[set[str]], None]
    lose: Callable[[bool], None]


class Heartbeat:
    """Renews each second.

    Args:
        renew_method: The scheduler stub's Renew.
        caller: Makes the calls.
        actions: At the worker.
        clock: Between two beats.
        times: How often, how long.
    """

    def __init__(
        self,
        renew_method: Callable[..., object],
        caller: Caller,
        actions: HeartbeatActions,
        clock: Clock,
        times: HeartbeatTimes,
    ) -> None:
        self._renew_method = renew_method
        self._caller = caller
        self._actions = actions
        self._clock = clock
        self._times = times
        self._answered = clock.monotonic()
        self._lost = False

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await self.beat()
            await self._clock.sleep(self._times.renew_seconds)

    async def beat(self) -> None:
        """Renew once, and act on the answer or on its lack."""
        try:
            response = await self._caller.unary(
                self._renew_method,
                self._actions.describe(),
                timeout_seconds=self._times.timeout_seconds,
            )
        except FormworkError as error:
            self._miss(error)
            return
        self._answered = self._clock.monotonic()
        self._tell_lost(lost=False)
        if response.stop_lease_ids:
            self._actions.stop_leases(set(response.stop_lease_ids))

    def _miss(self, error: FormworkError) -> None:
        away = self._clock.monotonic() - self._answered
        log.info("renew_failed", reason=error.reason, message=error.message, away=round(away, 1))
        if away >= self._times.lost_seconds:
            self._tell_lost(lost=True)

    def _tell_lost(self, *, lost: bool) -> None:
        if lost != self._lost:
            log.warning("scheduler_lost" if lost else "scheduler_back")
            self._lost = lost
            self._actions.lose(lost)


def to_load(load: Load) -> scheduler_pb2.Load:
    """Return load figures as the contract has them."""
    return scheduler_pb2.Load(
        slots=load.slots,
        slots_used=load.slots_used,
        waiting=load.waiting,
        tokens_per_second=load.tokens_per_second,
    )
