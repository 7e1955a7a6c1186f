"""What stands on what in a gateway: neighbours, means, registered schemas, routes."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from formwork.compiler.v1.compiler_pb2_grpc import CompilerServiceStub
from formwork.scheduler.v1.scheduler_pb2_grpc import SchedulerServiceStub
from starlette.types import ASGIApp

from gateway.app import Parts, make_app
from gateway.authentication import Authenticator
from gateway.background import Background
from gateway.completions import Completions
from gateway.config import GatewayConfig
from gateway.flow import ChatFlow
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
from gateway.schema_uses import SchemaUses
from gateway.schemas import SchemaStore
from gateway.schemas_api import Schemas
from gateway.shares import Shares
from gateway.store import KeyStore
from gateway.tokenization import Tokenization
from gateway.tool_memory import ToolMemory
from gateway.validation import Validators
from mesh.channels import Caller, open_channel
from mesh.clock import Clock
from mesh.config import MeshConfig
from mesh.models import ModelTable

if TYPE_CHECKING:  # exists in the stubs only
    from formwork.compiler.v1.compiler_pb2_grpc import CompilerServiceAsyncStub
    from formwork.scheduler.v1.scheduler_pb2_grpc import SchedulerServiceAsyncStub

log = structlog.get_logger()


@dataclass(frozen=True)
class Stores:
    """What a gateway keeps in its database."""

    keys: KeyStore
    schemas: SchemaStore


@dataclass(frozen=True)
class Given:
    """What a gateway is made of."""

    mesh: MeshConfig
    config: GatewayConfig
    models: ModelTable
    stores: Stores
    clock: Clock
    metrics: Metrics


@dataclass(frozen=True)
class Neighbours:
    """The services that are called."""

    compiler: Peer["CompilerServiceAsyncStub"]
    scheduler: Peer["SchedulerServiceAsyncStub"]
    streams: WorkerStreams

    async def close(self) -> None:
        """End every call and connection."""
        await self.streams.close()
        await self.compiler.channel.close(None)
        await self.scheduler.channel.close(None)


@dataclass(frozen=True)
class Means:
    """What answers are asked for and checked with."""

    writers: PromptWriters
    validators: Validators
    indexes: Indexes

    async def close(self) -> None:
        """End the threads and processes."""
        self.writers.close()
        await self.validators.close()


@dataclass(frozen=True)
class Registered:
    """Registered schemas: found by id, counted, compiled."""

    uses: SchemaUses
    resolver: SchemaResolver
    registry: SchemaRegistry
    prewarming: Prewarming


@dataclass(frozen=True)
class Gateway:
    """A wired gateway: its application, and what must be closed after it."""

    app: ASGIApp
    metrics: Metrics
    neighbours: Neighbours
    means: Means
    registered: Registered
    placement: Placement
    background: Background

    async def start(self) -> None:
        """Start what works beside requests."""
        self.background.start()
        await self.means.validators.start()

    async def close(self, seconds: float) -> None:
        """Settle what is still unsettled, for at most that many seconds, then close everything."""
        await self.background.close()
        await self.registered.registry.close()
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(self.placement.drain(), self.registered.uses.flush())
        except TimeoutError:
            log.warning("settlements_left_to_workers")
        await self.neighbours.close()
        await self.means.close()


def wire(
    mesh: MeshConfig, config: GatewayConfig, models: ModelTable, stores: Stores, clock: Clock
) -> Gateway:
    """Return a gateway, inside a running event loop.

    Raises:
        ConfigError: A model folder or a secret cannot be read.
    """
    given = Given(mesh, config, models, stores, clock, Metrics())
    neighbours = _open_neighbours(given)
    means = _load_means(given, neighbours)
    registered = _wire_registered(given, means)
    placement = Placement(neighbours.scheduler, config, clock, given.metrics)
    flow = _wire_flow(given, neighbours, means, registered, placement)
    app = make_app(_wire_parts(given, neighbours, means, registered, flow))
    background = Background(clock, registered.prewarming.run, registered.uses.run)
    return Gateway(app, given.metrics, neighbours, means, registered, placement, background)


def _open_neighbours(given: Given) -> Neighbours:
    mesh, config, caller = given.mesh, given.config, Caller(given.mesh.read_token())
    seconds = config.reconnect_seconds
    compiler, scheduler = (
        open_channel(address, mesh) for address in (mesh.compiler_address, mesh.scheduler_address)
    )
    return Neighbours(
        Peer(compiler, CompilerServiceStub, caller, seconds),
        Peer(scheduler, SchedulerServiceStub, caller, seconds),
        WorkerStreams(mesh, caller, config),
    )


def _load_means(given: Given, neighbours: Neighbours) -> Means:
    return Means(
        load_prompt_writers(given.models, given.config, given.clock),
        Validators(given.config, given.clock),
        Indexes(neighbours.compiler, given.config, given.clock),
    )


def _wire_registered(given: Given, means: Means) -> Registered:
    store, config, clock = given.stores.schemas, given.config, given.clock
    uses = SchemaUses(store, config, clock)
    resolver = SchemaResolver(store, uses, config, clock)
    indexes = SchemaIndexes(given.models, means.writers, means.indexes, means.validators)
    registry = SchemaRegistry(store, indexes, resolver, config)
    return Registered(uses, resolver, registry, Prewarming(store, registry, config, clock))


def _wire_flow(
    given: Given,
    neighbours: Neighbours,
    means: Means,
    registered: Registered,
    placement: Placement,
) -> ChatFlow:
    return ChatFlow(
        config=given.config,
        models=given.models,
        schemas=registered.resolver,
        tools=ToolMemory(given.config.tool_memory_bytes),
        writers=means.writers,
        validators=means.validators,
        indexes=means.indexes,
        placement=placement,
        streams=neighbours.streams,
        metrics=given.metrics,
        clock=given.clock,
        salt_secret=given.mesh.read_token(),
    )


def _wire_parts(
    given: Given, neighbours: Neighbours, means: Means, registered: Registered, flow: ChatFlow
) -> Parts:
    config, clock = given.config, given.clock
    authenticator = Authenticator(given.stores.keys, config, clock)
    reception = Reception(authenticator, Shares(config.max_in_flight_per_project), config)
    compiler, scheduler = neighbours.compiler, neighbours.scheduler
    return Parts(
        config=config,
        models=given.models,
        authenticator=authenticator,
        completions=Completions(reception, flow, config, clock),
        tokenization=Tokenization(reception, given.models, means.writers, config),
        schemas=Schemas(reception, given.stores.schemas, registered.registry, config),
        readiness=Readiness(compiler, scheduler, registered.prewarming, config, clock),
        metrics=given.metrics,
        clock=clock,
    )
