"""`python -m compiler_service.main`: wire and serve."""

import asyncio
import sys
from pathlib import Path

import uvloop
from formwork.compiler.v1 import compiler_pb2, compiler_pb2_grpc
from prometheus_client import CollectorRegistry, start_http_server

from compiler_service.compile_client import ForkingCompiler
from compiler_service.config import CompilerConfig
from compiler_service.flow import IndexFlow
from compiler_service.forgiving_store import ForgivingStore
from compiler_service.metrics import Metrics
from compiler_service.postgres_store import PostgresIndexStore
from compiler_service.service import CompilerServicer
from mesh.clock import SystemClock
from mesh.config import ConfigError, MeshConfig, Settings, load_settings
from mesh.database import Database, database_url
from mesh.garbage import spare_what_is_loaded
from mesh.ids import new_id
from mesh.interpreter import share_interpreter
from mesh.logs import configure_logs
from mesh.models import ModelTable, load_models
from mesh.server import MeshServer, serve_until_signal


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        ConfigError: By name.
    """
    mesh = settings.section("mesh", MeshConfig)
    config = settings.section("compiler", CompilerConfig)
    models = load_models(settings)
    clock = SystemClock()
    database = Database(database_url())
    compiler = ForkingCompiler(_fingerprints(models), config, clock)
    store = ForgivingStore(PostgresIndexStore(database), clock)
    flow = IndexFlow(compiler, store, config, clock, owner=new_id("compiler"))
    servicer = CompilerServicer(flow, models, config, _open_metrics(config))
    server = MeshServer(
        mesh,
        mesh.read_token(),
        [compiler_pb2.DESCRIPTOR.services_by_name["CompilerService"]],
        lambda grpc_server: compiler_pb2_grpc.add_CompilerServiceServicer_to_server(
            servicer, grpc_server
        ),
    )
    await compiler.start()
    spare_what_is_loaded()
    share_interpreter()
    pruning = asyncio.create_task(flow.prune_forever())
    try:
        await serve_until_signal(
            server, mesh.compiler_address, on_drain=lambda: flow.drain(mesh.drain_seconds)
        )
    finally:
        pruning.cancel()
        await compiler.close()
        await database.close()


def _fingerprints(models: ModelTable) -> dict[Path, str]:
    return {entry.folder: entry.tokenizer_fingerprint for entry in models.entries.values()}


def _open_metrics(config: CompilerConfig) -> Metrics:
    registry = CollectorRegistry()
    if config.metrics_port:
        start_http_server(config.metrics_port, addr=config.metrics_host, registry=registry)
    return Metrics(registry)


def main() -> None:
    """Run the process."""
    try:
        settings = load_settings()
        mesh = settings.section("mesh", MeshConfig)
        configure_logs("compiler", log_format=mesh.log_format, level=mesh.log_level)
        uvloop.run(serve(settings))
    except ConfigError as error:
        sys.exit(f"compiler: {error}")


if __name__ == "__main__":
    main()
