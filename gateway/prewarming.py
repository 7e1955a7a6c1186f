"""Has the indexes of the most used schemas made before anybody asks for them.

A gateway that starts, with a new tokenizer perhaps, does so before it is ready; afterwards it sees
to it again and again, because the engine may have changed or a cache been lost.
"""

import asyncio

import structlog

from gateway.config import GatewayConfig
from gateway.schema_registry import SchemaRegistry
from gateway.schemas import SchemaStore
from mesh.clock import Clock
from mesh.errors import DatabaseUnavailableError, FormworkError, ServiceUnavailableError
from mesh.ids import ProjectId, SchemaId

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
            wanted = await self._store.list_wanted(self._config.prewarm_schemas)
            async with asyncio.TaskGroup() as group:
                for project_id, schema_id in wanted:
                    group.create_task(self._settle(project_id, schema_id))
        except* _AWAY as errors:
            away = errors.exceptions[0]
        if not isinstance(away, ServiceUnavailableError):
            self._first_round_until = float("-inf")  # readiness does not hang on the database
        if away is not None:
            log.warning("prewarming_interrupted", cause=str(away))
        return away is None

    async def _settle(self, project_id: ProjectId, schema_id: SchemaId) -> None:
        async with self._places:
            try:
                stored = await self._store.find_schema(project_id, schema_id)
                if stored is not None:
                    await self._registry.settle(stored)
            except _AWAY:
                raise
            except FormworkError as error:  # of this schema: the next round tries it again
                log.warning("schema_not_prewarmed", schema_id=schema_id, reason=error.reason)
