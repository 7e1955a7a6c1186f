"""Look-ups in a store that are remembered: for so long, bounded, served through a blip of it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from mesh.clock import Clock
from mesh.errors import DatabaseUnavailableError
from mesh.memory import BoundedMemory

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True)
class LookupBounds:
    """How long what a store said is believed, and how much of it is kept."""

    fresh_seconds: float
    """A value is not looked up again; also how long a store that is away is left alone."""
    stale_seconds: float
    """A value is served while the store does not answer."""
    unknown_seconds: float
    """What the store does not have is not looked up again."""
    maximum: int
    """Of the sizes of all values."""
    unknown_maximum: int
    """Keys that the store does not have."""


@dataclass(frozen=True)
class _Kept(Generic[V]):
    value: V
    asked_at: float


class Lookups(Generic[K, V]):
    """What a store says of keys: asked once for all who want the same at the same time.

    Args:
        fetch: Asks the store; None where it has nothing.
        bounds: Of the memory.
        clock: Ages it.
        size_of: A value's share of `bounds.maximum`; without it, values are counted.
        on_stale: Told of a value that is served because the store did not answer.
    """

    def __init__(
        self,
        fetch: Callable[[K], Awaitable[V | None]],
        bounds: LookupBounds,
        clock: Clock,
        *,
        size_of: Callable[[V], int] = lambda _: 1,
        on_stale: Callable[[K, V], None] = lambda _key, _value: None,
    ) -> None:
        self._fetch = fetch
        self._bounds = bounds
        self._clock = clock
        self._on_stale = on_stale
        self._kept: BoundedMemory[K, _Kept[V]] = BoundedMemory(
            bounds.maximum, lambda kept: size_of(kept.value)
        )
        self._unknown: BoundedMemory[K, float] = BoundedMemory(bounds.unknown_maximum)
        self._asking: dict[K, asyncio.Task[V | None]] = {}
        self._away_until = float("-inf")

    async def find(self, key: K) -> V | None:
        """Return the value of a key, as the store has it or had it a moment ago.

        Raises:
            DatabaseUnavailableError: It does not answer, and the value was not seen recently.
        """
        kept = self._kept.find(key)
        if kept is not None and self._is_within(kept.asked_at, self._bounds.fresh_seconds):
            return kept.value
        if self._is_known_unknown(key):
            return None
        is_stale = kept is not None and self._is_within(kept.asked_at, self._bounds.stale_seconds)
        return await self._ask_or_keep(key, kept if is_stale else None)

    def forget(self, key: K) -> None:
        """Look the key up when it is next wanted: what the store has of it was changed here."""
        self._kept.forget(key)
        self._unknown.forget(key)
        self._asking.pop(key, None)  # its answer may be older than the change

    async def _ask_or_keep(self, key: K, stale: _Kept[V] | None) -> V | None:
        """Ask the store; while it is away, take what it said a while ago."""
        if stale is not None and self._clock.monotonic() < self._away_until:
            return stale.value
        try:
            return await self._ask(key)
        except DatabaseUnavailableError:
            self._away_until = self._clock.monotonic() + self._bounds.fresh_seconds
            if stale is None:
                raise
            self._on_stale(key, stale.value)
            return stale.value

    async def _ask(self, key: K) -> V | None:
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask_store(key))
            task.add_done_callback(lambda done: self._end(key, done))
        return await asyncio.shield(task)

    async def _ask_store(self, key: K) -> V | None:
        # The time before the look-up: a change while it runs is not hidden any longer.
        asked_at = self._clock.monotonic()
        value = await self._fetch(key)
        if self._asking.get(key) is asyncio.current_task():
            self._keep(key, value, asked_at)
        return value

    def _keep(self, key: K, value: V | None, asked_at: float) -> None:
        if value is None:
            self._kept.forget(key)
            self._unknown.record(key, asked_at)
        else:
            self._unknown.forget(key)
            self._kept.record(key, _Kept(value, asked_at))

    def _end(self, key: K, done: "asyncio.Task[V | None]") -> None:
        if self._asking.get(key) is done:
            del self._asking[key]
        if not done.cancelled():
            done.exception()  # seen, even where everybody who waited has left

    def _is_known_unknown(self, key: K) -> bool:
        asked_at = self._unknown.find(key)
        return asked_at is not None and self._is_within(asked_at, self._bounds.unknown_seconds)

    def _is_within(self, since: float, seconds: float) -> bool:
        return self._clock.monotonic() - since < seconds
