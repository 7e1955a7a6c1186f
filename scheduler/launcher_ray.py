"""The worker as a Ray actor, and what a driver asks of Ray: detached, named, found again by name.

Ray places a worker and watches its process; requests reach it over gRPC and never pass through
here. Only `scheduler.ray_driver` and the actors' own processes import this module.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import ray
import structlog
from ray.exceptions import GetTimeoutError, RayActorError
from ray.util import get_node_ip_address, list_named_actors

from mesh.config import MeshConfig, load_settings
from mesh.garbage import spare_what_is_loaded
from mesh.ids import Snapshot, WorkerId
from mesh.interpreter import share_interpreter
from mesh.logs import configure_logs
from scheduler.launcher import worker_environment
from scheduler.ray_place import RayPlace

log = structlog.get_logger()

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
            spare_what_is_loaded()
            share_interpreter()
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


class RayActors:
    """The workers of one cluster; every method blocks, and raises what Ray raises.

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

    def join(self) -> None:
        """Join the cluster as a driver."""
        ray.init(
            address=self._place.address,
            namespace=self._place.namespace,
            log_to_driver=False,
            configure_logging=False,
        )
        log.info("ray_joined", address=self._place.address, namespace=self._place.namespace)

    def start(self, worker_id: WorkerId, snapshot: Snapshot) -> None:
        """Start a worker and return before it serves; one that runs under this id stays."""
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

    def stop(self, worker_id: WorkerId, grace_seconds: float) -> None:
        """Stop a worker and return when it is gone; nothing happens where there is none."""
        try:
            actor: Any = ray.get_actor(worker_id, namespace=self._place.namespace)
        except ValueError:  # there is none of that name
            return
        if grace_seconds > 0:
            try:
                ray.get(actor.stop.remote(grace_seconds), timeout=grace_seconds + _CALL_SECONDS)
            except (RayActorError, GetTimeoutError) as error:  # it ended by itself, or hangs
                log.info("worker_did_not_answer", worker_id=worker_id, cause=type(error).__name__)
        ray.kill(actor, no_restart=True)

    def list_workers(self) -> list[str]:
        """Return the workers whose actors live or are being started, whoever started them."""
        return list(list_named_actors())

    def _resources(self, snapshot: Snapshot) -> dict[str, float]:
        device = self._place.devices[snapshot]
        resources = ray.cluster_resources()  # type: ignore[no-untyped-call] # ray types little
        has_gpus = resources.get("GPU", 0) > 0
        if device == "cuda" or (device == "auto" and has_gpus):
            return {"num_gpus": self._place.worker_gpus, "num_cpus": 0}
        return {"num_cpus": self._place.worker_cpus}
