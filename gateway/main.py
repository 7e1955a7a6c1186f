"""Wires the gateway and serves it until SIGTERM: `python -m gateway.main`."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
import uvicorn
import uvloop
from formwork.compiler.v1.compiler_pb2_grpc import CompilerServiceStub
from formwork.scheduler.v1.scheduler_pb2_grpc import SchedulerServiceStub
from starlette.types import ASGIApp

from gateway.app import Parts, make_app
from gateway.authentication import Authenticator
from gateway.background import Background
from gateway.completions import Completions
from gateway.config import GatewayConfig
from gateway.flow import ChatFlow
from gateway.http_protocol import protocol_for
from gateway.indexes import Indexes
from gateway.metrics import Metrics
from gateway.peer import Peer
from gateway.placement import Placement
from gateway.prewarming import Prewarming
from gateway.prompt_writers import PromptWriters, load_prompt_writers
from gateway.readiness import Readiness
from gateway.reception import Reception
from gateway.sampler_stream import WorkerStreams
from gateway.schema_indexes import SchemaIndexes
from gateway.schema_registry import SchemaRegistry
from gateway.schema_resolver import SchemaResolver
from gateway.schema_store import PostgresSchemaStore
from gateway.schema_uses import SchemaUses
from gateway.schemas import SchemaStore
from gateway.schemas_api import Schemas
from gateway.shares import Shares
from gateway.store import KeyStore, PostgresKeyStore
from gateway.tokenization import Tokenization
from gateway.validation import Validators
from mesh.channels import Caller, open_channel
from mesh.clock import Clock, SystemClock
from mesh.config import ConfigError, MeshConfig, Settings, load_settings
from mesh.database import Database, database_url
from mesh.logs import configure_logs
from mesh.models import ModelTable, load_models

if TYPE_CHECKING:  # exists in the stubs only
    from formwork.compiler.v1.compiler_pb2_grpc import CompilerServiceAsyncStub
    from formwork.scheduler.v1.scheduler_pb2_grpc import SchedulerServiceAsyncStub

log = structlog.get_logger()

_SETTLE_SHARE = 0.25  # of the time to drain; the rest is for requests in flight


@dataclass(frozen=True)
class Gateway:
    """A wired gateway: its application, and what must be closed after it."""

    app: ASGIApp
    metrics: Metrics
    writers: PromptWriters
    validators: Validators
    registry: SchemaRegistry
    uses: SchemaUses
    prewarming: Prewarming
    background: Background
    placement: Placement
    streams: WorkerStreams
    compiler: Peer["CompilerServiceAsyncStub"]
    scheduler: Peer["SchedulerServiceAsyncStub"]

    async def start(self) -> None:
        """Start what works beside requests."""
        self.background.start()
        await self.validators.start()

    async def close(self, seconds: float) -> None:
        """Settle what is still unsettled, for at most that many seconds, then close everything."""
        await self.background.close()
        await self.registry.close()
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(self.placement.drain(), self.uses.flush())
        except TimeoutError:
            log.warning("settlements_left_to_workers")
        await self.streams.close()
        await self.compiler.channel.close(None)
        await self.scheduler.channel.close(None)
        self.writers.close()
        await self.validators.close()


@dataclass(frozen=True)
class Stores:
    """What a gateway keeps in its database."""

    keys: KeyStore
    schemas: SchemaStore


def wire(
    mesh: MeshConfig, config: GatewayConfig, models: ModelTable, stores: Stores, clock: Clock
) -> Gateway:
    """Return a gateway, inside a running event loop.

    Raises:
        ConfigError: A model folder or a secret cannot be read.
    """
    token = mesh.read_token()
    caller, metrics = Caller(token), Metrics()
    compiler = Peer(
        open_channel(mesh.compiler_address, mesh),
        CompilerServiceStub,
        caller,
        config.reconnect_seconds,
    )
    scheduler = Peer(
        open_channel(mesh.scheduler_address, mesh),
        SchedulerServiceStub,
        caller,
        config.reconnect_seconds,
    )
    writers = load_prompt_writers(models, config, clock)
    validators = Validators(config, clock)
    placement = Placement(scheduler, config, clock, metrics)
    streams = WorkerStreams(mesh, caller, config)
    indexes = Indexes(compiler, config, clock)
    uses = SchemaUses(stores.schemas, config, clock)
    resolver = SchemaResolver(stores.schemas, uses, config, clock)
    flow = ChatFlow(
        config,
        models,
        resolver,
        writers,
        validators,
        indexes,
        placement,
        streams,
        metrics,
        clock,
        token,
    )
    authenticator = Authenticator(stores.keys, config, clock)
    reception = Reception(authenticator, Shares(config.max_in_flight_per_project), config)
    completions = Completions(reception, flow, config, clock)
    tokenization = Tokenization(reception, models, writers, config)
    registry = SchemaRegistry(
        stores.schemas, SchemaIndexes(models, writers, indexes, validators), resolver, config
    )
    schemas = Schemas(reception, stores.schemas, registry, config)
    prewarming = Prewarming(stores.schemas, registry, config, clock)
    readiness = Readiness(compiler, scheduler, prewarming, config, clock)
    parts = Parts(
        config, models, authenticator, completions, tokenization, schemas, readiness, metrics, clock
    )
    return Gateway(
        make_app(parts),
        metrics,
        writers,
        validators,
        registry,
        uses,
        prewarming,
        Background(clock, prewarming.run, uses.run),
        placement,
        streams,
        compiler,
        scheduler,
    )


class Server(uvicorn.Server):
    """uvicorn's server, which leaves signals to `serve` and so can end with status 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the handlers alone."""
        yield


def make_server(app: ASGIApp, config: GatewayConfig, drain_seconds: float) -> Server:
    """Return the HTTP server, not yet started."""
    return Server(
        uvicorn.Config(
            app,
            host=config.http_host,
            port=config.http_port,
            http=protocol_for(config),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=int(config.keep_alive_seconds),
            timeout_graceful_shutdown=int(drain_seconds),
        )
    )


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; then take nothing new, end what is in flight, and settle."""
    mesh = settings.section("mesh", MeshConfig)
    config = settings.section("gateway", GatewayConfig)
    configure_logs("gateway", log_format=mesh.log_format, level=mesh.log_level)
    keys = Database(database_url())
    schemas = Database(database_url(), pool_size=config.schema_connections)
    stores = Stores(PostgresKeyStore(keys), PostgresSchemaStore(schemas))
    gateway = wire(mesh, config, load_models(settings), stores, SystemClock())
    settle_seconds = mesh.drain_seconds * _SETTLE_SHARE
    server = make_server(gateway.app, config, mesh.drain_seconds - settle_seconds)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, server)
    try:
        await gateway.start()
        await server.serve()
    finally:
        await gateway.close(settle_seconds)
        await keys.close()
        await schemas.close()
    log.info("stopped")


def _stop(server: Server) -> None:
    log.info("draining")
    server.should_exit = True


def main() -> int:
    """Read the configuration and serve; return the exit status."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        uvloop.run(serve(load_settings()))
    except ConfigError as error:
        sys.stderr.write(f"formwork: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
