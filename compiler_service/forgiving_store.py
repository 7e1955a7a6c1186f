"""An index store whose failures cost the cache and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import structlog

from compiler_service.index_store import IndexStore, StoredIndex
from mesh.clock import Clock
from mesh.errors import DatabaseUnavailableError, FormworkError
from mesh.ids import IndexId

T = TypeVar("T")

log = structlog.get_logger()


class ForgivingStore:
    """Asks a store, and answers as an empty one would while it is down.

    After a failure it is left alone for a while, so that a database that answers slowly or not at
    all does not slow every request down.

    Args:
        store: The store.
        clock: Its monotonic time counts.
        timeout_seconds: After which an answer counts as a failure.
        pause_seconds: How long it is left alone.
    """

    def __init__(
        self,
        store: IndexStore,
        clock: Clock,
        *,
        timeout_seconds: float = 1.0,
        pause_seconds: float = 2.0,
    ) -> None:
        self._store = store
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._pause_seconds = pause_seconds
        self._down_until = float("-inf")

    async def find_index(self, index_id: IndexId) -> StoredIndex | None:
        """Return an index that is stored."""
        return await self._ask(lambda: self._store.find_index(index_id), None)

    async def find_all(
        self, index_ids: Sequence[IndexId]
    ) -> Mapping[IndexId, StoredIndex | FormworkError]:
        """Return the indexes that are stored, and why grammars were refused."""
        return await self._ask(lambda: self._store.find_all(index_ids), {})

    async def record_index(self, index: StoredIndex) -> bool:
        """Return whether the index is stored now."""

        async def record() -> bool:
            await self._store.record_index(index)
            return True

        return await self._ask(record, otherwise=False)

    async def record_failure(
        self, index_id: IndexId, error: FormworkError, *, seconds: float
    ) -> None:
        """Remember why a grammar was refused."""
        await self._ask(lambda: self._store.record_failure(index_id, error, seconds=seconds), None)

    async def claim(self, index_id: IndexId, owner: str, *, seconds: float) -> bool:
        """Return whether the compile is ours: without a store everybody compiles for himself."""
        return await self._ask(
            lambda: self._store.claim(index_id, owner, seconds=seconds), otherwise=True
        )

    async def find_claim(self, index_id: IndexId) -> str | None:
        """Return whose an unexpired claim is."""
        return await self._ask(lambda: self._store.find_claim(index_id), None)

    async def release_claim(self, index_id: IndexId, owner: str) -> None:
        """Give a claim up."""
        await self._ask(lambda: self._store.release_claim(index_id, owner), None)

    async def prune(self, *, engine_version: str, keep_seconds: float, max_bytes: int) -> int:
        """Remove what is expired, unused or too much; return how many indexes that were."""
        return await self._ask(
            lambda: self._store.prune(
                engine_version=engine_version, keep_seconds=keep_seconds, max_bytes=max_bytes
            ),
            0,
        )

    async def _ask(self, question: Callable[[], Awaitable[T]], otherwise: T) -> T:
        if self._clock.monotonic() < self._down_until:
            return otherwise
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await question()
        except (DatabaseUnavailableError, TimeoutError) as error:
            self._down_until = self._clock.monotonic() + self._pause_seconds
            log.warning("index_store_down", error=repr(error))
            return otherwise
