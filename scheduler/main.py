"""The scheduler's process: `python -m scheduler.main`."""

import asyncio
import os
import sys
from collections.abc import Coroutine
from dataclasses import dataclass

import structlog
import uvloop
from formwork.scheduler.v1 import scheduler_pb2, scheduler_pb2_grpc

from mesh.clock import SystemClock
from mesh.config import ConfigError, MeshConfig, Settings, load_settings
from mesh.database import Database, database_url
from mesh.logs import configure_logs
from mesh.models import ModelTable, load_models
from mesh.server import MeshServer, serve_until_signal
from scheduler.config import SchedulerConfig
from scheduler.launcher import LaunchError, WorkerLauncher
from scheduler.launchers import build_launcher
from scheduler.reconciler import ConfiguredWorkers, Reconciler
from scheduler.store import LeaseStore
from scheduler.store_postgres import PostgresLeaseStore
from scheduler.wiring import Scheduler, build_scheduler, build_service, reconciler_limits

log = structlog.get_logger()

# What is still to be written when the server has stopped gets this long.
_FLUSH_SECONDS = 5.0


@dataclass(frozen=True)
class Process:
    """Everything that was read before the first thing was started."""

    mesh: MeshConfig
    config: SchedulerConfig
    models: ModelTable
    token: str
    key: bytes
    store: LeaseStore
    launcher: WorkerLauncher


def read_process(settings: Settings) -> Process:
    """Return what the configuration asks for.

    Raises:
        ConfigError: It is wrong or incomplete, by name.
    """
    mesh = settings.section("mesh", MeshConfig)
    config = settings.section("scheduler", SchedulerConfig)
    models = load_models(settings)
    return Process(
        mesh=mesh,
        config=config,
        models=models,
        token=mesh.read_token(),
        key=mesh.read_lease_key(),
        store=PostgresLeaseStore(Database(database_url(os.environ))),
        launcher=build_launcher(config, models, os.environ),
    )


async def run(process: Process) -> None:
    """Serve until SIGTERM or SIGINT; workers that can outlive this process do."""
    clock, config = SystemClock(), process.config
    scheduler = build_scheduler(config, process.store, clock)
    service = build_service(scheduler, config, process.models, process.key, clock)
    reconciler = Reconciler(
        process.launcher,
        scheduler.registry,
        ConfiguredWorkers(process.models),
        clock,
        reconciler_limits(config),
    )
    server = MeshServer(
        process.mesh,
        process.token,
        [scheduler_pb2.DESCRIPTOR.services_by_name["SchedulerService"]],
        lambda grpc: scheduler_pb2_grpc.add_SchedulerServiceServicer_to_server(service, grpc),
    )
    await _run_beside(
        _serve(server, process, scheduler),
        scheduler.journal.run(),
        scheduler.sweeper.run(config.sweep_seconds),
        reconciler.run(config.reconcile_seconds),
    )
    await _let_go(process)


async def _serve(server: MeshServer, process: Process, scheduler: Scheduler) -> None:
    async def drain() -> None:
        scheduler.admission.drain()

    await serve_until_signal(server, process.mesh.scheduler_address, on_drain=drain)
    try:
        await asyncio.wait_for(scheduler.journal.flush(), _FLUSH_SECONDS)
    except TimeoutError:
        log.warning("journal_not_flushed")


async def _run_beside(
    main: Coroutine[object, object, None], *others: Coroutine[object, object, None]
) -> None:
    """Return when `main` does; one of the others that fails ends all."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(other) for other in others]
        await group.create_task(main)
        for task in tasks:
            task.cancel()


async def _let_go(process: Process) -> None:
    try:
        await process.launcher.close()
    except LaunchError as error:
        log.warning("launcher_not_closed", error=str(error))
    await process.store.close()


def main() -> int:
    """Run the scheduler; return the exit status."""
    try:
        process = read_process(load_settings())
    except ConfigError as error:
        sys.stderr.write(f"scheduler: {error}\n")
        return 2
    configure_logs("scheduler", log_format=process.mesh.log_format, level=process.mesh.log_level)
    uvloop.run(run(process))
    return 0


if __name__ == "__main__":
    sys.exit(main())
