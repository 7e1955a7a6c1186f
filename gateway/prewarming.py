"""Has the indexes of the most used schemas made before anybody asks for them.

A gateway that starts, with a new tokenizer perhaps, does so before it is ready; afterwards it sees
to it again and again, because the engine may have changed or a cache been lost. Schemas whose
registration did not see the end are gone on with in the same rounds.
"""

import asyncio

import structlog

from gateway.config import GatewayConfig
from gateway.schema_registry import Made, SchemaRegistry
from gateway.schemas import (
    Maker,
    ModelKind,
    SchemaStatus,
    SchemaStore,
    StoredSchema,
    WantedBounds,
    WantedSchema,
    next_wait,
)
from mesh.clock import Clock
from mesh.errors import (
    CompileQueueFullError,
    DatabaseUnavailableError,
    FormworkError,
    ServiceUnavailableError,
)
from mesh.ids import SchemaId
from mesh.memory import BoundedMemory

log = structlog.get_logger()

_RETRY_SECONDS = 2.0
_AWAY = (DatabaseUnavailableError, ServiceUnavailableError)


class Prewarming:
    """Rounds over the most used schemas of all projects, and those that are not finished.

    Args:
        store: Says which.
        registry: Has them compiled.
        config: How many, how often, and how many at once.
        clock: Paces it.
    """

    def __init__(
        self, store: SchemaStore, registry: SchemaRegistry, config: GatewayConfig, clock: Clock
    ) -> None:
        self._store = store
        self._registry = registry
        self._config = config
        self._clock = clock
        self._bounds = WantedBounds(
            config.prewarm_unfinished, config.prewarm_schemas, config.prewarm_per_project
        )
        self._bodies = BoundedMemory[SchemaId, str](config.prewarm_memory_bytes, _size)
        self._places = asyncio.Semaphore(config.prewarm_at_once)
        self._first_round_until: float | None = None

    @property
    def is_first_round(self) -> bool:
        """Whether the first round still runs, and has not taken too long to be waited for."""
        until = self._first_round_until
        return until is not None and self._clock.monotonic() < until

    async def run(self) -> None:
        """Go round for ever; sooner again while a neighbour is away."""
        if self._first_round_until is None:  # a gateway that serves stays ready, whatever crashes
            seconds = self._config.prewarm_ready_seconds
            self._first_round_until = self._clock.monotonic() + seconds
        while True:
            pause = self._config.prewarm_seconds if await self._go_round() else _RETRY_SECONDS
            await self._clock.sleep(pause)

    async def _go_round(self) -> bool:
        """Return whether everybody who was needed answered."""
        away: BaseException | None = None
        try:
            wanted = await self._store.list_wanted(self._bounds, self._registry.makers)
            async with asyncio.TaskGroup() as group:
                for schema in sorted(wanted, key=_has_failed):
                    group.create_task(self._settle(schema))
        except* _AWAY as errors:
            away = errors.exceptions[0]
        if not isinstance(away, ServiceUnavailableError):
            self._first_round_until = float("-inf")  # readiness does not hang on the database
        if away is not None:
            log.warning("prewarming_interrupted", cause=str(away))
        return away is None

    async def _settle(self, wanted: WantedSchema) -> None:
        async with self._places:
            for model, outcome in (await self._make(wanted)).items():
                await self._note(wanted, model, outcome)

    async def _make(self, wanted: WantedSchema) -> Made:
        """Have a schema compiled for the models that it does not wait for."""
        makers = [maker for maker in self._registry.makers if not wanted.waits_for(maker)]
        models = [maker.model for maker in makers]
        try:
            stored = await self._with_body(wanted)
            made = {} if stored is None else await self._registry.settle(stored, models)
        except _AWAY:
            raise
        except FormworkError as error:
            return dict.fromkeys(models, error)
        away = next((error for error in made.values() if isinstance(error, _AWAY)), None)
        if away is not None:
            raise away
        return made

    async def _note(
        self, wanted: WantedSchema, model: ModelKind, outcome: float | FormworkError
    ) -> None:
        """Keep that a schema has failed for a kind of model, or has done so no more."""
        schema_id, engine = wanted.record.id, self._registry.engine
        maker = Maker(model, engine)
        earlier = wanted.failures.get(maker)
        if isinstance(outcome, FormworkError):
            log.warning("schema_not_prewarmed", schema_id=schema_id, reason=outcome.reason)
            if isinstance(outcome, CompileQueueFullError):
                return  # which leaves open whether it fails
            times = 1 + (earlier.times if earlier is not None else 0)
            config = self._config
            wait = next_wait(times, config.prewarm_seconds, config.prewarm_failed_seconds)
            await self._store.record_failures(schema_id, maker, times, wait)
        elif earlier is not None:
            await self._store.record_failures(schema_id, maker, 0)

    async def _with_body(self, wanted: WantedSchema) -> StoredSchema | None:
        """Return the whole schema; a body never changes, so that it is read once."""
        record = wanted.record
        body = self._bodies.find(record.id)
        if body is not None:
            return wanted.with_body(body)
        stored = await self._store.find_schema(record.project_id, record.id)
        if stored is not None:
            self._bodies.record(record.id, stored.body)
        return stored


def _size(body: str) -> int:
    return len(body.encode())


def _has_failed(wanted: WantedSchema) -> bool:
    return wanted.record.outcome.status is SchemaStatus.FAILED
