"""What this process remembers: indexes by bytes, failures by time."""

from collections import OrderedDict
from dataclasses import dataclass

from compiler_service.index_store import StoredIndex
from mesh.clock import Clock
from mesh.errors import FormworkError
from mesh.ids import IndexId


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


class IndexMemory:
    """The most recently used indexes that fit into a number of bytes.

    Args:
        max_bytes: Of all together; a single larger one is not kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: OrderedDict[IndexId, HeldIndex] = OrderedDict()
        self.total_bytes = 0

    def find(self, index_id: IndexId) -> HeldIndex | None:
        """Return an index that is held, and make it the last to go."""
        held = self._held.get(index_id)
        if held is not None:
            self._held.move_to_end(index_id)
        return held

    def record(self, held: HeldIndex) -> None:
        """Hold an index in place of any other under its id."""
        self._forget(held.index.index_id)
        if held.size > self._max_bytes:
            return
        self._held[held.index.index_id] = held
        self.total_bytes += held.size
        while self.total_bytes > self._max_bytes:
            self._forget(next(iter(self._held)))

    def _forget(self, index_id: IndexId) -> None:
        held = self._held.pop(index_id, None)
        if held is not None:
            self.total_bytes -= held.size


class FailureMemory:
    """Failures about the input, each for a while.

    Args:
        max_count: The oldest go first.
        seconds: How long one is remembered.
        clock: Its monotonic time counts.
    """

    def __init__(self, max_count: int, seconds: float, clock: Clock) -> None:
        self._max_count = max_count
        self._seconds = seconds
        self._clock = clock
        self._failures: OrderedDict[IndexId, tuple[float, FormworkError]] = OrderedDict()

    def find(self, index_id: IndexId) -> FormworkError | None:
        """Return why a grammar was refused, while that is remembered."""
        expires_at, error = self._failures.get(index_id, (0.0, None))
        return error if self._clock.monotonic() < expires_at else None

    def record(self, index_id: IndexId, error: FormworkError) -> None:
        """Remember why a grammar was refused."""
        self._failures.pop(index_id, None)
        self._failures[index_id] = (self._clock.monotonic() + self._seconds, error)
        while len(self._failures) > self._max_count:
            self._failures.popitem(last=False)
