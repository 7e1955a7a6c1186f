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
from sampler_service.accounts import LeaseAccounts, WorkerIdentity
from sampler_service.config import SamplerConfig
from sampler_service.decode_thread import DecodeThread
from sampler_service.decoder import Decoder, open_decoder
from sampler_service.heartbeat import Heartbeat, HeartbeatActions, HeartbeatTimes, to_load
from sampler_service.indexes import Indexes
from sampler_service.links import Links, open_links
from sampler_service.model_folder import ModelFolderError
from sampler_service.openings import OpeningLimits
from sampler_service.reports import Reporter
from sampler_service.sequence import Output, SequenceKey
from sampler_service.service import SamplerServicer
from sampler_service.spool import Spool, SpoolError
from sampler_service.streams import Streams, StreamServices

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


@dataclass(frozen=True)
class _Serving:
    """What there is once the model is loaded."""

    decoder: Decoder
    accounts: LeaseAccounts
    indexes: Indexes
    streams: Streams


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
        self._serving: _Serving | None = None
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
        self._serving.accounts.detach_all()
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
        links = open_links(self._mesh, self._token)
        self._owned.push_async_callback(links.close)
        spool = await asyncio.to_thread(self._open_spool)
        self._owned.callback(spool.close)
        self._reporter = self._make_reporter(links, spool)
        self._owned.push_async_callback(self._reporter.keep)
        self._thread = DecodeThread(
            partial(open_decoder, self._entry, self._config, self._clock),
            self._deliver,
            self._clock,
        )
        self._owned.push_async_callback(self._thread.stop)
        await self._listen()
        self._heartbeat = self._make_heartbeat(links)
        self._own_task(self._reporter.run())
        self._own_task(self._heartbeat.run())
        self._serving = self._make_serving(await self._thread.start(), links)
        self._owned.push_async_callback(self._serving.indexes.close)
        self._thread.ended.add_done_callback(self._end_with_thread)
        self._state = scheduler_pb2.WORKER_STATE_READY
        await self._heartbeat.beat()

    async def _listen(self) -> None:
        servicer = SamplerServicer(self._get_streams, self._begin_drain, self._describe_status)
        server = MeshServer(
            self._mesh,
            self._token,
            [_SERVICE],
            partial(add_SamplerServiceServicer_to_server, servicer),
        )
        host = self._arguments.host
        port = await server.start(f"{host}:{self._arguments.port}")
        self._owned.push_async_callback(server.stop)
        self._address = f"{host}:{port}"

    def _open_spool(self) -> Spool:
        folder = self._config.spool_folder or _default_spool_folder()
        return Spool(folder, self._arguments.worker_id, self._config.spool_max_reports)

    def _make_reporter(self, links: Links, spool: Spool) -> Reporter:
        return Reporter(
            spool,
            links.scheduler.Report,
            links.caller,
            self._clock,
            self._config.report_timeout_seconds,
        )

    def _make_heartbeat(self, links: Links) -> Heartbeat:
        times = HeartbeatTimes(
            self._config.renew_seconds,
            self._config.report_timeout_seconds,
            self._config.lost_scheduler_seconds,
        )
        actions = HeartbeatActions(self._describe_renewal, self._stop_leases, self._lose_scheduler)
        return Heartbeat(links.scheduler.Renew, links.caller, actions, self._clock, times)

    def _make_serving(self, decoder: Decoder, links: Links) -> _Serving:
        config, info = self._config, decoder.info
        vocabulary = decoder.rules.vocabulary
        identity = WorkerIdentity(
            self._arguments.worker_id,
            self._arguments.snapshot,
            f"{info.device_class} {info.determinism}",
        )
        accounts = LeaseAccounts(self._lease_key, identity)
        indexes = Indexes(links.compiler.FetchIndex, links.caller, vocabulary, config, self._clock)
        limits = OpeningLimits(
            vocabulary.size,
            info.context,
            config.max_sequence_seconds,
            config.max_stop_strings,
            config.max_stop_characters,
        )
        services = StreamServices(
            self._thread,
            accounts,
            indexes,
            decoder.rules,
            limits,
            self._clock,
            config.max_stream_sequences,
            config.max_stream_backlog,
        )
        return _Serving(decoder, accounts, indexes, Streams(services))

    # -- what happens while it serves -----------------------------------------------------------

    def _deliver(self, outputs: list[Output]) -> None:
        if self._serving is None:
            return
        self._serving.streams.deliver(outputs)
        if any(output.is_last for output in outputs):
            self._report_ended(self._serving)

    def _report_ended(self, serving: _Serving) -> None:
        self._reporter.record(serving.accounts.take_ended(self._clock.now().timestamp()))

    def _get_streams(self) -> Streams:
        if self._serving is None:
            raise ServiceUnavailableError("The model is being loaded.", retry_after_seconds=1.0)
        return self._serving.streams

    def _stop_leases(self, lease_ids: set[str]) -> None:
        if self._serving is not None:
            keys = self._serving.accounts.sequences_of(lease_ids)
            self._fail(keys, ServiceUnavailableError("The scheduler stopped this lease."))

    def _lose_scheduler(self, lost: bool) -> None:  # noqa: FBT001 - the heartbeat's callback
        if self._serving is None:
            return
        error = ServiceUnavailableError("The worker has lost its scheduler.")
        self._serving.streams.refusal = error if lost else None
        if lost:
            self._fail(self._serving.accounts.sequences(), error)

    def _fail(self, keys: list[SequenceKey], error: FormworkError) -> None:
        for key in keys:
            self._thread.post(lambda batch, key=key: batch.fail(key, error))  # type: ignore[misc] # mypy has no type for a lambda's default

    def _describe_renewal(self) -> scheduler_pb2.RenewRequest:
        if self._serving is not None:
            self._report_ended(self._serving)  # leases whose time to be opened has passed
        return scheduler_pb2.RenewRequest(
            worker_id=self._arguments.worker_id,
            worker_address=self._address,
            snapshot=self._arguments.snapshot,
            state=self._state,
            load=to_load(self._thread.load),
            checkpoints=[] if self._serving is None else self._serving.accounts.checkpoints(),
        )

    def _describe_status(self) -> sampler_pb2.GetStatusResponse:
        info = self._serving.decoder.info if self._serving is not None else None
        return sampler_pb2.GetStatusResponse(
            worker_id=self._arguments.worker_id,
            snapshot=self._arguments.snapshot,
            device_class=info.device_class if info is not None else "",
            determinism=info.determinism if info is not None else "",
            state=self._state,
            load=to_load(self._thread.load),
        )

    # -- stopping -------------------------------------------------------------------------------

    def _begin_drain(self) -> None:
        self._state = scheduler_pb2.WORKER_STATE_DRAINING
        if self._serving is not None:
            self._serving.streams.draining = True

    async def _stop(self) -> None:
        self._begin_drain()
        if self._serving is not None:
            await self._end_live(self._serving)
        await self._owned.aclose()
        self._stopped.set()
        log.info("worker_stopped", worker_id=self._arguments.worker_id)

    async def _end_live(self, serving: _Serving) -> None:
        """Fail what is still live, end the streams, and give the last reports a moment."""
        serving.accounts.detach_all()
        self._fail(serving.accounts.sequences(), DrainingError("The worker is going away."))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_REPORTS_SECONDS):
                await serving.streams.wait_idle()
                self._report_ended(serving)
                await self._reporter.wait_settled()
        serving.streams.lose_all(DrainingError("The worker is going away."))

    def _end_with_thread(self, ended: asyncio.Future[None]) -> None:
        """Without its thread a worker is of no use: stop, so that it is replaced."""
        if ended.cancelled() or ended.exception() is None:
            return
        self._failure = ended.exception()
        self._own_stop()

    def _own_stop(self) -> None:
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())

    def _own_task(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._end_with_task)
        self._owned.push_async_callback(_cancel, task)

    def _end_with_task(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("worker_task_crashed", exc_info=error)
            self._failure = error
            self._own_stop()


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
        asyncio.run(_serve(settings, WorkerArguments(**vars(options))))
    except (ConfigError, ModelFolderError, SpoolError, FormworkError) as error:
        sys.exit(f"sampler: {error}")


if __name__ == "__main__":
    main()
