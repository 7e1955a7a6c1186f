"""When a schema that failed is worth another try."""

from dataclasses import dataclass

from gateway.config import GatewayConfig
from mesh.clock import Clock
from mesh.ids import SchemaId
from mesh.memory import BoundedMemory

_MOST_DOUBLINGS = 32


@dataclass(frozen=True)
class _Failure:
    engine_version: str
    times: int
    until: float


class FailedSchemas:
    """Failures by schema: each waits twice as long as the one before, or for another engine.

    Models and their tokenizers change with a restart, which begins without any.

    Args:
        config: The shortest and the longest wait, and how many schemas there may be.
        clock: Ages them.
    """

    def __init__(self, config: GatewayConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        most = config.prewarm_unfinished + config.prewarm_schemas
        self._failures: BoundedMemory[SchemaId, _Failure] = BoundedMemory(most)

    def is_due(self, schema_id: SchemaId, engine_version: str) -> bool:
        """Return whether a schema has not failed, has waited, or another engine may take it."""
        failure = self._failures.find(schema_id)
        if failure is None or failure.engine_version != engine_version:
            return True
        return failure.until <= self._clock.monotonic()

    def record(self, schema_id: SchemaId, engine_version: str) -> None:
        """Remember a failure."""
        earlier = self._failures.find(schema_id)
        is_same = earlier is not None and earlier.engine_version == engine_version
        times = earlier.times + 1 if earlier is not None and is_same else 1
        doubled = self._config.prewarm_seconds * 2 ** min(times - 1, _MOST_DOUBLINGS)
        seconds = min(doubled, self._config.prewarm_failed_seconds)
        until = self._clock.monotonic() + seconds
        self._failures.record(schema_id, _Failure(engine_version, times, until))

    def forget(self, schema_id: SchemaId) -> None:
        """Begin again: it did not fail."""
        self._failures.forget(schema_id)
