"""Workers as detached, named Ray actors: they outlive the scheduler, which finds them by name.

Ray places a worker and watches its process; requests reach it over gRPC and never pass through
here. Ray's calls block, so they run on threads of their own.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, Protocol, TypeVar

import ray
import structlog
from ray.exceptions import RayActorError, RayError
from ray.util import get_node_ip_address, list_named_actors

from mesh.config import MeshConfig, load_settings
from mesh.ids import Snapshot, WorkerId
from mesh.logs import configure_logs
from scheduler.launcher import LaunchError, worker_environment

log = structlog.get_logger()

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_CALL_SECONDS = 10.0
_DATABASE_VARIABLES = ("DATABASE_URL", "DATABASE_DIRECT_URL")


class HostedWorker(Protocol):
    """What an actor hosts: `sampler_service.worker.Worker`."""

    async def start(self) -> str:
        """Serve; return the address."""

    async def drain(self) -> None:
        """Let live sequences end and take no new ones."""

    async def stop(self) -> None:
        """End at once."""

    async def wait(self) -> None:
        """Return when it has ended."""


MakeWorker = Callable[[Mapping[str, str], str, str], HostedWorker]


@dataclass(frozen=True)
class RayPlace:
    """The cluster that workers run in, and what each one takes of it."""

    address: str
    namespace: str
    worker_cpus: float
    worker_gpus: float
    devices: Mapping[Snapshot, str]
    """`auto`, `cpu` or `cuda`, by snapshot."""


def make_sampler_worker(
    environment: Mapping[str, str], worker_id: str, snapshot: str
) -> HostedWorker:
    """Return a sampler worker on this node, on a port of its choice."""
    # Imported here: only the actor's process needs torch.
    from sampler_service.worker import Worker, WorkerArguments  # noqa: PLC0415

    settings = load_settings(environment)
    mesh = settings.section("mesh", MeshConfig)
    configure_logs("sampler", log_format=mesh.log_format, level=mesh.log_level)
    host = get_node_ip_address()  # type: ignore[no-untyped-call] # ray types little
    arguments = WorkerArguments(WorkerId(worker_id), Snapshot(snapshot), host=host, port=0)
    worker: HostedWorker = Worker(settings, arguments)
    return worker


class WorkerHost:
    """The actor: one worker in a process of its own, which ends with it.

    Args:
        make: Makes the worker.
        environment: What the worker may read, laid over the node's own.
        worker_id: Its id.
        snapshot: What it serves.
    """

    def __init__(
        self, make: MakeWorker, environment: Mapping[str, str], worker_id: str, snapshot: str
    ) -> None:
        for name in _DATABASE_VARIABLES:
            os.environ.pop(name, None)
        os.environ.update(environment)
        self._make = partial(make, os.environ, worker_id, snapshot)
        self._worker: HostedWorker | None = None
        self._life: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Start the worker and return before it serves.

        A task of the actor's own, so that it lives on when the scheduler that asked is gone.
        """
        self._life = asyncio.create_task(self._live())

    async def stop(self, grace_seconds: float) -> None:
        """Return when the worker's sequences have ended, or the time is over."""
        if self._worker is None:
            return
        try:
            await asyncio.wait_for(self._worker.drain(), grace_seconds)
        except TimeoutError:
            log.warning("drain_cut", grace_seconds=grace_seconds)
        await self._worker.stop()

    async def _live(self) -> None:
        status = 1
        try:
            self._worker = self._make()
            address = await self._worker.start()
            log.info("worker_started", address=address)
            await self._worker.wait()
            status = 0
        except Exception:  # the process ends whatever it was
            log.exception("worker_failed")
        finally:
            # Ray notices an ended process at once; an idle actor it would keep for ever.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)


class RayWorkerLauncher:
    """A WorkerLauncher over Ray actors.

    Args:
        place: The cluster.
        environment: Of this process.
        make: Makes the worker inside the actor; found by its name there.
    """

    def __init__(
        self,
        place: RayPlace,
        environment: Mapping[str, str],
        make: MakeWorker = make_sampler_worker,
    ) -> None:
        self._place = place
        self._environment = worker_environment(environment)
        self._make = make
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="ray")
        self._connecting = asyncio.Lock()

    async def start(self, worker_id: WorkerId, snapshot: Snapshot) -> None:
        """Start a worker and return before it serves; one that runs under this id stays."""
        await self._connect()
        await self._call(self._start, worker_id, snapshot)

    async def stop(self, worker_id: WorkerId, *, grace_seconds: float) -> None:
        """Stop a worker and return when it is gone."""
        await self._connect()
        await self._call(_stop, worker_id, self._place.namespace, grace_seconds)

    async def list_workers(self) -> frozenset[WorkerId]:
        """Return the workers whose actors live or are being started, whoever started them."""
        await self._connect()
        try:
            names = await self._call(list_named_actors)
        except LaunchError:
            # A head that was started again is another cluster, which refuses who knew the old one.
            await self._leave()
            raise
        return frozenset(WorkerId(name) for name in names)

    async def close(self) -> None:
        """Leave the cluster; its workers go on."""
        await self._leave()
        self._threads.shutdown(wait=False)

    async def _leave(self) -> None:
        async with self._connecting:
            await self._call(ray.shutdown)

    async def _connect(self) -> None:
        async with self._connecting:
            if not ray.is_initialized():
                await self._call(_connect, self._place)

    async def _call(
        self,
        function: Callable[Parameters, Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, partial(function, *args, **kwargs))
        except (RayError, ConnectionError, RuntimeError, TimeoutError) as error:
            raise LaunchError(f"Ray: {error}") from error

    def _start(self, worker_id: WorkerId, snapshot: Snapshot) -> None:
        actor = ray.remote(WorkerHost).options(
            name=worker_id,
            namespace=self._place.namespace,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=0,  # the reconciler replaces it, with backoff
            **self._resources(snapshot),
        )
        handle: Any = actor.remote(self._make, self._environment, worker_id, snapshot)
        handle.begin.remote()

    def _resources(self, snapshot: Snapshot) -> dict[str, float]:
        device = self._place.devices[snapshot]
        resources = ray.cluster_resources()  # type: ignore[no-untyped-call] # ray types little
        has_gpus = resources.get("GPU", 0) > 0
        if device == "cuda" or (device == "auto" and has_gpus):
            return {"num_gpus": self._place.worker_gpus, "num_cpus": 0}
        return {"num_cpus": self._place.worker_cpus}


def _connect(place: RayPlace) -> None:
    ray.init(
        address=place.address,
        namespace=place.namespace,
        log_to_driver=False,
        configure_logging=False,
    )
    log.info("ray_joined", address=place.address, namespace=place.namespace)


def _stop(worker_id: WorkerId, namespace: str, grace_seconds: float) -> None:
    try:
        actor: Any = ray.get_actor(worker_id, namespace=namespace)
    except ValueError:  # there is none of that name
        return
    if grace_seconds > 0:
        try:
            ray.get(actor.stop.remote(grace_seconds), timeout=grace_seconds + _CALL_SECONDS)
        except (RayActorError, TimeoutError) as error:  # it ended by itself, or hangs
            log.info("worker_did_not_answer", worker_id=worker_id, cause=type(error).__name__)
    ray.kill(actor, no_restart=True)
