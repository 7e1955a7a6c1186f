"""What this process remembers: an index and where it is, failures for a while."""

from dataclasses import dataclass

from compiler_service.index_store import StoredIndex
from mesh.clock import Clock
from mesh.errors import FormworkError
from mesh.ids import IndexId
from mesh.memory import BoundedMemory


@dataclass
class HeldIndex:
    """An index in memory, and where else it is."""

    index: StoredIndex
    canonical_grammar: bytes
    is_persisted: bool
    uses: int = 0
    """As far as this process sees them; prewarming is none."""
    is_persisting: bool = False
    is_filling: bool = False
    """It is filled, was, or cannot be."""

    @property
    def size(self) -> int:
        """Bytes that it counts for."""
        return len(self.index.data) + len(self.canonical_grammar)


@dataclass(frozen=True)
class _Failure:
    error: FormworkError
    expires_at: float


class FailureMemory:
    """Failures about the input, each for a while.

    Args:
        max_count: Those that nobody asked for the longest go first.
        seconds: How long one is remembered.
        clock: Its monotonic time counts.
    """

    def __init__(self, max_count: int, seconds: float, clock: Clock) -> None:
        self._seconds = seconds
        self._clock = clock
        self._failures: BoundedMemory[IndexId, _Failure] = BoundedMemory(max_count)

    def find(self, index_id: IndexId) -> FormworkError | None:
        """Return why a grammar was refused, while that is remembered."""
        failure = self._failures.find(index_id)
        if failure is None or failure.expires_at <= self._clock.monotonic():
            return None
        return failure.error

    def record(self, index_id: IndexId, error: FormworkError) -> None:
        """Remember why a grammar was refused."""
        expires_at = self._clock.monotonic() + self._seconds
        self._failures.record(index_id, _Failure(error, expires_at))


class IndexMemory:
    """What this process knows of indexes: the bytes of one, or why there is none.

    Args:
        max_bytes: Of all indexes; those that nobody asked for the longest go first.
        failures: Kept beside them.
    """

    def __init__(self, max_bytes: int, failures: FailureMemory) -> None:
        self._indexes: BoundedMemory[IndexId, HeldIndex] = BoundedMemory(
            max_bytes, lambda held: held.size
        )
        self._failures = failures

    def find(self, index_id: IndexId) -> HeldIndex | FormworkError | None:
        """Return what is known of an index."""
        return self._indexes.find(index_id) or self._failures.find(index_id)

    def knows(self, index_id: IndexId) -> bool:
        """Return whether anything is known of an index."""
        return self.find(index_id) is not None

    def hold(self, held: HeldIndex) -> None:
        """Remember an index, in place of another revision of it."""
        self._indexes.record(held.index.index_id, held)

    def refuse(self, index_id: IndexId, error: FormworkError) -> None:
        """Remember for a while why there is no index."""
        self._failures.record(index_id, error)
