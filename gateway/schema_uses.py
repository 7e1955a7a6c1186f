"""Counts how often registered schemas are used, and writes it now and then, all at once."""

from collections import Counter

import structlog

from gateway.config import GatewayConfig
from gateway.schemas import SchemaStore
from mesh.clock import Clock
from mesh.errors import DatabaseUnavailableError
from mesh.ids import SchemaId

log = structlog.get_logger()


class SchemaUses:
    """Uses that are not written yet; a gateway that is killed loses those of a few seconds.

    Args:
        store: Keeps them.
        config: How often they are written, and of how many schemas they may wait.
        clock: Paces it.
    """

    def __init__(self, store: SchemaStore, config: GatewayConfig, clock: Clock) -> None:
        self._store = store
        self._config = config
        self._clock = clock
        self._waiting: Counter[SchemaId] = Counter()

    def count(self, schema_id: SchemaId) -> None:
        """Count a use."""
        if schema_id in self._waiting or len(self._waiting) < self._config.schema_uses_memory:
            self._waiting[schema_id] += 1

    async def flush(self) -> None:
        """Write what waits; what the database does not take waits on."""
        uses, self._waiting = self._waiting, Counter()
        if not uses:
            return
        try:
            await self._store.record_uses(uses)
        except DatabaseUnavailableError:
            log.warning("schema_uses_not_written", schemas=len(uses))
            self._waiting.update(uses)
        except BaseException:  # cancelled: whoever closes the gateway writes them
            self._waiting.update(uses)
            raise

    async def run(self) -> None:
        """Write what waits, again and again."""
        while True:
            await self._clock.sleep(self._config.schema_uses_seconds)
            await self.flush()
