"""The contract's face: unpack a message, take the step, pack the answer."""
# ruff: noqa: N802 - the contract names the methods

from typing import Protocol

import structlog
from formwork.scheduler.v1 import scheduler_pb2 as pb
from formwork.scheduler.v1 import scheduler_pb2_grpc as rpc

from mesh.clock import Clock
from mesh.errors import LeaseInvalidError, ModelUnknownError
from mesh.leases import peek_lease
from mesh.models import ModelTable
from scheduler import wire
from scheduler.admission import Admission
from scheduler.flow import Granted, LeaseFlow, Progress
from scheduler.records import Source
from scheduler.workers import WorkerRegistry

log = structlog.get_logger()

# A wait ends a little before its call does, so that the caller hears why.
_ANSWER_SECONDS = 0.05


class CallContext(Protocol):
    """What the service asks of a call."""

    def time_remaining(self) -> float | None:
        """Return seconds to the call's deadline; None without one."""


class SchedulerService(rpc.SchedulerServiceServicer):
    """formwork.scheduler.v1.SchedulerService.

    Args:
        flow: The steps.
        admission: Says how many wait.
        registry: Says which workers there are.
        models: Snapshots that exist.
        key: Signs leases.
        clock: Time.
        max_queue_seconds: Longest wait for a place.
        max_choices: Most sequences of one lease.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - each is a part of its own, wired once
        self,
        flow: LeaseFlow,
        admission: Admission,
        registry: WorkerRegistry,
        models: ModelTable,
        key: bytes,
        clock: Clock,
        *,
        max_queue_seconds: float,
        max_choices: int,
    ) -> None:
        self._flow = flow
        self._admission = admission
        self._registry = registry
        self._models = models
        self._key = key
        self._clock = clock
        self._max_queue_seconds = max_queue_seconds
        self._max_choices = max_choices

    async def Acquire(self, request: pb.AcquireRequest, context: CallContext) -> pb.AcquireResponse:
        """Return a lease on a worker."""
        facts = wire.new_facts(request, self._clock.now(), self._max_choices)
        if facts.snapshot not in self._models.entries:
            raise ModelUnknownError(
                f"No model {facts.snapshot}.", metadata={"model": facts.snapshot}, field="snapshot"
            )
        granted = await self._flow.acquire(
            facts,
            request.affinity,
            self._wait_seconds(context),
            has_fallback=request.has_fallback,
        )
        return pb.AcquireResponse(
            lease=wire.sign(self._key, granted),
            worker_address=granted.place.address,
            queued=wire.write_duration(granted.queued_seconds),
        )

    async def Retry(self, request: pb.RetryRequest, context: CallContext) -> pb.RetryResponse:
        """Return the lease's next attempt, elsewhere."""
        held = wire.read_held(self._key, request.lease)
        granted: Granted = await self._flow.retry(held, self._wait_seconds(context))
        return pb.RetryResponse(
            lease=wire.sign(self._key, granted),
            worker_address=granted.place.address,
            queued=wire.write_duration(granted.queued_seconds),
        )

    async def Settle(self, request: pb.SettleRequest, context: CallContext) -> pb.SettleResponse:  # noqa: ARG002 - the contract's signature
        """Charge a lease with what the gateway accepted."""
        held = wire.read_held(self._key, request.lease)
        claim = wire.read_claim(held, request.counts, request.outcome, Source.GATEWAY)
        return pb.SettleResponse(charged=await self._flow.settle(held, claim))

    async def Release(self, request: pb.ReleaseRequest, context: CallContext) -> pb.ReleaseResponse:  # noqa: ARG002 - the contract's signature
        """Take back a lease that was never opened."""
        await self._flow.release(wire.read_held(self._key, request.lease))
        return pb.ReleaseResponse()

    async def Report(self, request: pb.ReportRequest, context: CallContext) -> pb.ReportResponse:  # noqa: ARG002 - the contract's signature
        """Keep what a worker says that it generated."""
        held = wire.read_held(self._key, request.lease)
        claim = wire.read_claim(held, request.counts, request.outcome, Source.WORKER)
        events = wire.read_events(request.events)
        for event in events:
            log.warning("worker_event", worker_id=held.worker_id, worker_event=event)
        await self._flow.report(held, claim, wire.cut(request.served_by), events)
        return pb.ReportResponse()

    async def Renew(self, request: pb.RenewRequest, context: CallContext) -> pb.RenewResponse:  # noqa: ARG002 - the contract's signature
        """Take a heartbeat; say which leases to stop."""
        worker = wire.read_worker(request, self._clock.monotonic())
        progress, forged = self._read_progress(request)
        return pb.RenewResponse(stop_lease_ids=[*self._flow.renew(worker, progress), *forged])

    async def ListWorkers(
        self,
        request: pb.ListWorkersRequest,  # noqa: ARG002 - the contract's signature
        context: CallContext,  # noqa: ARG002 - the contract's signature
    ) -> pb.ListWorkersResponse:
        """Return the workers that renew, and how many requests wait."""
        present = self._registry.present(self._clock.monotonic())
        return pb.ListWorkersResponse(
            workers=[wire.write_worker(worker) for worker in present],
            queued={str(tier): size for tier, size in self._admission.waiting().items()},
        )

    def _wait_seconds(self, context: CallContext) -> float:
        remaining = context.time_remaining()
        if remaining is None:
            return self._max_queue_seconds
        return min(remaining - _ANSWER_SECONDS, self._max_queue_seconds)

    def _read_progress(self, request: pb.RenewRequest) -> tuple[list[Progress], list[str]]:
        """Return the leases of a heartbeat, and the ids of those that are not ours.

        One bad lease must not cost a worker its heartbeat.
        """
        progress: list[Progress] = []
        forged: list[str] = []
        for checkpoint in request.checkpoints:
            try:
                held = wire.read_held(self._key, checkpoint.lease)
            except LeaseInvalidError as error:
                log.warning("lease_refused", worker_id=request.worker_id, reason=error.message)
                forged.extend(_claimed_id(checkpoint.lease))
            else:
                progress.append(Progress(held, wire.read_counts(checkpoint.counts)))
        return progress, forged


def _claimed_id(signed: pb.SignedLease) -> list[str]:
    try:
        return [peek_lease(signed).lease_id]
    except LeaseInvalidError:
        return []
