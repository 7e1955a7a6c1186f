"""Whether the mesh behind this gateway can serve: the compiler, the scheduler, and a worker.

A gateway that starts waits a little for the indexes of the most used schemas, too.

PostgreSQL is left out on purpose: keys and indexes are served through a blip, and a probe that
failed with it would take every gateway out at once.
"""

import asyncio
from typing import TYPE_CHECKING

from formwork.scheduler.v1.scheduler_pb2 import WORKER_STATE_READY, ListWorkersRequest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.config import GatewayConfig
from gateway.peer import Peer
from gateway.prewarming import Prewarming
from mesh.clock import Clock
from mesh.errors import FormworkError

if TYPE_CHECKING:  # exists in the stubs only
    from formwork.compiler.v1.compiler_pb2_grpc import CompilerServiceAsyncStub
    from formwork.scheduler.v1.scheduler_pb2_grpc import SchedulerServiceAsyncStub

_PROBE_SECONDS = 2.0


class Readiness:
    """Asks the neighbours, at most every `readiness_seconds` however often it is probed."""

    def __init__(
        self,
        compiler: Peer["CompilerServiceAsyncStub"],
        scheduler: Peer["SchedulerServiceAsyncStub"],
        prewarming: Prewarming,
        config: GatewayConfig,
        clock: Clock,
    ) -> None:
        self._compiler = compiler
        self._health = health_pb2_grpc.HealthStub(compiler.channel)
        self._scheduler = scheduler
        self._prewarming = prewarming
        self._config = config
        self._clock = clock
        self._lock = asyncio.Lock()
        self._missing: dict[str, str] = {}
        self._until = float("-inf")

    async def missing(self) -> dict[str, str]:
        """Return what does not serve, with the reason; empty when everything does."""
        async with self._lock:
            if self._clock.monotonic() >= self._until:
                self._missing = await self._probe()
                self._until = self._clock.monotonic() + self._config.readiness_seconds
            return self._missing

    async def _probe(self) -> dict[str, str]:
        compiler, worker = await asyncio.gather(self._probe_compiler(), self._probe_workers())
        schemas = "PREWARMING" if self._prewarming.is_first_round else None
        probed = {"compiler": compiler, **worker, "schemas": schemas}
        return {name: reason for name, reason in probed.items() if reason}

    async def _probe_compiler(self) -> str | None:
        request = health_pb2.HealthCheckRequest()
        try:
            answer = await self._compiler.call(
                self._health.Check, request, timeout_seconds=_PROBE_SECONDS
            )
        except FormworkError as error:
            return error.reason
        serving = answer.status == health_pb2.HealthCheckResponse.SERVING
        return None if serving else "NOT_SERVING"

    async def _probe_workers(self) -> dict[str, str | None]:
        request = ListWorkersRequest()
        try:
            answer = await self._scheduler.call(
                self._scheduler.stub.ListWorkers, request, timeout_seconds=_PROBE_SECONDS
            )
        except FormworkError as error:
            return {"scheduler": error.reason}
        ready = any(worker.state == WORKER_STATE_READY for worker in answer.workers)
        return {"worker": None if ready else "NO_WORKER"}
