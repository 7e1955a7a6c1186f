"""A sampler worker: loads one model and serves it until told to stop.

Hosted by a Ray actor, or by `python -m sampler_service.worker` as a process of its own; importing
this module starts nothing.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
import uvloop
from formwork.sampler.v1 import sampler_pb2
from formwork.sampler.v1.sampler_pb2_grpc import add_SamplerServiceServicer_to_server
from formwork.scheduler.v1 import scheduler_pb2

from mesh.clock import Clock, SystemClock
from mesh.config import ConfigError, MeshConfig, Settings, load_settings
from mesh.errors import DrainingError, FormworkError, ServiceUnavailableError
from mesh.ids import Snapshot
from mesh.logs import configure_logs
from mesh.models import load_models
from mesh.server import MeshServer
from sampler_service.config import SamplerConfig
from sampler_service.decode_thread import DecodeThread
from sampler_service.decoder import open_decoder
from sampler_service.heartbeat import Heartbeat, HeartbeatActions, HeartbeatTimes, to_load
from sampler_service.links import Links, open_links
from sampler_service.model_folder import ModelFolderError
from sampler_service.outputs import Output
from sampler_service.reports import Reporter
from sampler_service.service import SamplerServicer
from sampler_service.serving import Serving, ServingParts
from sampler_service.spool import Spool, SpoolError
from sampler_service.streams import Streams

log = structlog.get_logger()

_SERVICE = sampler_pb2.DESCRIPTOR.services_by_name["SamplerService"]
_LAST_REPORTS_SECONDS = 2.0


@dataclass(frozen=True)
class WorkerArguments:
    """What differs between the workers of a mesh; port 0 picks a free one."""

    worker_id: str
    snapshot: str
    host: str = "127.0.0.1"
    port: int = 0


class Worker:
    """One model, served.

    Args:
        settings: The mesh's configuration.
        arguments: Of this worker.
        clock: For tests.

    Raises:
        ConfigError: A wrong configuration, by name.
        ModelUnknownError: No such snapshot.
    """

    def __init__(
        self, settings: Settings, arguments: WorkerArguments, clock: Clock | None = None
    ) -> None:
        models = load_models(settings)
        self._entry = models.entries[models.resolve(Snapshot(arguments.snapshot))]
        self._mesh = settings.section("mesh", MeshConfig)
        self._config = settings.section("sampler", SamplerConfig)
        self._token = self._mesh.read_token()
        self._lease_key = self._mesh.read_lease_key()
        self._arguments = arguments
        self._clock = clock or SystemClock()
        self._state = scheduler_pb2.WORKER_STATE_STARTING
        self._address = ""
        self._serving: Serving | None = None
        self._owned = contextlib.AsyncExitStack()
        self._stopping: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()
        self._failure: BaseException | None = None

    async def start(self) -> str:
        """Load the model and serve; return the address once the scheduler was told READY.

        Raises:
            ModelFolderError, TokenizerUnknownError, SpoolError: Why it cannot serve.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        log.info("worker_ready", address=self._address, worker_id=self._arguments.worker_id)
        return self._address

    async def drain(self) -> None:
        """Refuse new sequences; return when the live ones have ended, or have had their time."""
        self._begin_drain()
        if self._serving is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._mesh.drain_seconds):
                await self._serving.streams.wait_idle()
        log.info("drained", left=self._serving.streams.live)

    async def stop(self) -> None:
        """End everything; reports that cannot be sent now stay in the spool. Idempotent."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())
        await asyncio.shield(self._stopping)

    async def wait(self) -> None:
        """Return when the worker has stopped; raises what stopped it, if nobody asked it to."""
        await self._stopped.wait()
        if self._failure is not None:
            raise self._failure

    # -- starting -------------------------------------------------------------------------------

    async def _start(self) -> None:
        parts = await self._make_parts()
        self._owned.push_async_callback(self._thread.stop)
        await self._listen()
        self._own_task(parts.reporter.run())
        self._heartbeat = self._make_heartbeat(parts.links)
        self._own_task(self._heartbeat.run())
        self._serving = Serving(parts, await self._thread.start())
        self._owned.push_async_callback(self._serving.close)
        self._thread.ended.add_done_callback(self._end_with_thread)
        self._state = scheduler_pb2.WORKER_STATE_READY
        await self._heartbeat.beat()

    async def _make_parts(self) -> ServingParts:
        config, clock = self._config, self._clock
        links = open_links(self._mesh, self._token)
        self._owned.push_async_callback(links.close)
        spool = await asyncio.to_thread(self._open_spool)
        self._owned.callback(spool.close)
        reporter = Reporter(
            spool, links.scheduler.Report, links.caller, clock, config.report_timeout_seconds
        )
        self._owned.push_async_callback(reporter.keep)
        self._reporter = reporter
        opening = partial(open_decoder, self._entry, config, clock)
        self._thread = DecodeThread(opening, self._deliver, clock)
        worker_id, snapshot = self._arguments.worker_id, self._arguments.snapshot
        return ServingParts(
            worker_id, snapshot, self._lease_key, config, clock, links, self._thread, reporter
        )

    async def _listen(self) -> None:
        servicer = SamplerServicer(self._get_streams, self._begin_drain, self._describe_status)
        register = partial(add_SamplerServiceServicer_to_server, servicer)
        server = MeshServer(self._mesh, self._token, [_SERVICE], register)
        host = self._arguments.host
        port = await server.start(f"{host}:{self._arguments.port}")
        self._owned.push_async_callback(server.stop)
        self._address = f"{host}:{port}"

    def _open_spool(self) -> Spool:
        folder = self._config.spool_folder or _default_spool_folder()
        return Spool(folder, self._arguments.worker_id, self._config.spool_max_reports)

    def _make_heartbeat(self, links: Links) -> Heartbeat:
        times = HeartbeatTimes(
            self._config.renew_seconds,
            self._config.report_timeout_seconds,
            self._config.lost_scheduler_seconds,
        )
        actions = HeartbeatActions(self._describe_renewal, self._stop_leases, self._lose_scheduler)
        return Heartbeat(links.scheduler.Renew, links.caller, actions, self._clock, times)

    # -- what happens while it serves -----------------------------------------------------------

    def _deliver(self, outputs: list[Output]) -> None:
        if self._serving is not None:
            self._serving.deliver(outputs)

    def _get_streams(self) -> Streams:
        if self._serving is None:
            raise ServiceUnavailableError("The model is being loaded.", retry_after_seconds=1.0)
        return self._serving.streams

    def _stop_leases(self, lease_ids: set[str]) -> None:
        if self._serving is not None:
            self._serving.stop_leases(lease_ids)

    def _lose_scheduler(self, lost: bool) -> None:  # noqa: FBT001 - the heartbeat's callback
        if self._serving is not None:
            self._serving.lose_scheduler(lost=lost)

    def _describe_renewal(self) -> scheduler_pb2.RenewRequest:
        request = scheduler_pb2.RenewRequest(
            worker_id=self._arguments.worker_id,
            worker_address=self._address,
            snapshot=self._arguments.snapshot,
            state=self._state,
            load=to_load(self._thread.load),
        )
        if self._serving is not None:
            self._serving.report_ended()  # leases whose time to be opened has passed
            request.checkpoints.extend(self._serving.checkpoints())
        return request

    def _describe_status(self) -> sampler_pb2.GetStatusResponse:
        response = sampler_pb2.GetStatusResponse(
            worker_id=self._arguments.worker_id,
            snapshot=self._arguments.snapshot,
            state=self._state,
            load=to_load(self._thread.load),
        )
        if self._serving is not None:
            response.device_class = self._serving.info.device_class
            response.determinism = self._serving.info.determinism
        return response

    # -- stopping -------------------------------------------------------------------------------

    def _begin_drain(self) -> None:
        self._state = scheduler_pb2.WORKER_STATE_DRAINING
        if self._serving is not None:
            self._serving.begin_drain()

    async def _stop(self) -> None:
        self._begin_drain()
        if self._serving is not None:
            await self._end_live(self._serving)
        await self._owned.aclose()
        self._stopped.set()
        log.info("worker_stopped", worker_id=self._arguments.worker_id)

    async def _end_live(self, serving: Serving) -> None:
        """Fail what is still live, end the streams, and give the last reports a moment."""
        error = DrainingError("The worker is going away.")
        serving.fail_all(error)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_REPORTS_SECONDS):
                await serving.streams.wait_idle()
                serving.report_ended()
                await self._reporter.wait_settled()
        serving.streams.lose_all(error)

    def _end_with_thread(self, ended: asyncio.Future[None]) -> None:
        """Without its thread a worker is of no use: stop, so that it is replaced."""
        if not ended.cancelled() and (error := ended.exception()) is not None:
            self._end_with(error)

    def _end_with_task(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("worker_task_crashed", exc_info=error)
            self._end_with(error)

    def _end_with(self, error: BaseException) -> None:
        self._failure = error
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())

    def _own_task(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._end_with_task)
        self._owned.push_async_callback(_cancel, task)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _default_spool_folder() -> Path:
    home = os.environ.get("FORMWORK_HOME")
    if home:
        return Path(home) / "spool"
    return Path(tempfile.gettempdir()) / f"formwork-spool-{os.getuid()}"


async def _serve(settings: Settings, arguments: WorkerArguments) -> None:
    worker = Worker(settings, arguments)
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    starting = asyncio.create_task(worker.start())
    asking = asyncio.create_task(asked.wait())
    await asyncio.wait([starting, asking], return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        await starting
        waiting = asyncio.create_task(worker.wait())
        await asyncio.wait([waiting, asking], return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            await waiting
        await worker.drain()
    starting.cancel()
    await worker.stop()


def main() -> None:
    """Run a worker as a process; SIGTERM drains it."""
    parser = argparse.ArgumentParser(prog="python -m sampler_service.worker")
    parser.add_argument("--worker-id", required=True)
    parser.add_argument("--snapshot", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    try:
        settings = load_settings()
        mesh = settings.section("mesh", MeshConfig)
        configure_logs("sampler", log_format=mesh.log_format, level=mesh.log_level)
        uvloop.run(_serve(settings, WorkerArguments(**vars(options))))
    except (ConfigError, ModelFolderError, SpoolError, FormworkError) as error:
        sys.exit(f"sampler: {error}")


if __name__ == "__main__":
    main()
