"""A memory bounded by the sizes of what it holds."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedMemory(Generic[K, V]):
    """The most recently used values whose sizes together stay within a bound.

    Args:
        maximum: Of all sizes together; a single larger value is not kept.
        size_of: The size of a value, in what the bound is in; without it, values are counted.
    """

    def __init__(self, maximum: int, size_of: Callable[[V], int] = lambda _: 1) -> None:
        self._maximum = maximum
        self._size_of = size_of
        self._held: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self.size = 0
        """Of all values that are held."""

    def find(self, key: K) -> V | None:
        """Return the value that is held under a key, and make it the last to go."""
        held = self._held.get(key)
        if held is None:
            return None
        self._held.move_to_end(key)
        return held[0]

    def record(self, key: K, value: V) -> None:
        """Hold a value in place of any other under its key."""
        self.forget(key)
        size = self._size_of(value)
        if size > self._maximum:
            return
        self._held[key] = value, size
        self.size += size
        while self.size > self._maximum:
            self.forget(next(iter(self._held)))

    def forget(self, key: K) -> None:
        """Drop what is held under a key, if anything is."""
        _, size = self._held.pop(key, (None, 0))
        self.size -= size
