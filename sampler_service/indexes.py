"""Loaded indexes by id, pulled once from the compiler."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import structlog
from formwork_engine.envelope import load_parts
from formwork_engine.errors import EngineError
from formwork_engine.index import Index
from formwork_engine.vocabulary import Vocabulary

from mesh.batches import cut_into_batches
from mesh.clock import Clock
from mesh.errors import (
    CompileQueueFullError,
    DeadlineExceededError,
    FormworkError,
    InternalError,
    ServiceUnavailableError,
)
from mesh.tasks import do_all
from sampler_service.config import SamplerConfig
from sampler_service.index_fetcher import IndexFetcher, IndexName

log = structlog.get_logger()

# Of one way to a thread: few enough that a tool set's indexes keep several threads busy.
_BATCH_INDEXES = 32
_BATCH_BYTES = 64 * 1024
_PASSING = (ServiceUnavailableError, DeadlineExceededError, CompileQueueFullError)


@dataclass(frozen=True)
class Loaded:
    """An index as it was loaded."""

    index: Index
    revision: int
    size_bytes: int


class Indexes:
    """The worker's indexes: the least recently used leave first; each is fetched once at a time.

    Args:
        fetcher: Gets their bytes.
        vocabulary: Of the model.
        config: Bounds and deadlines.
        clock: Between two tries.
    """

    def __init__(
        self, fetcher: IndexFetcher, vocabulary: Vocabulary, config: SamplerConfig, clock: Clock
    ) -> None:
        self._fetcher = fetcher
        self._vocabulary = vocabulary
        self._config = config
        self._clock = clock
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._bytes = 0
        self._fetching: dict[tuple[str, bool], asyncio.Task[Loaded]] = {}
        self._waiters: dict[tuple[str, bool], int] = {}
        self._refreshing: set[asyncio.Task[None]] = set()
        self.dropped = 0
        """How many have left so far."""

    async def get(self, name: IndexName) -> Index:
        """Return an index, from memory or from the compiler; tried again while that is away.

        Cancelling leaves other waiters alone. An index of a lower revision than named is as good:
        it is returned, and the newer one fetched behind it.

        Raises:
            IndexNotFoundError: The compiler does not know it, and no grammar came with it.
            FormworkError: As the compiler says it; InternalError for bytes that are not an index.
        """
        return self.find(name) or (await self._fetch_shared(name)).index

    def find(self, name: IndexName) -> Index | None:
        """Return what `get` does where the index is held; it is now the last to leave."""
        held = self._loaded.get(name.index_id)
        if held is None:
            return None
        self._loaded.move_to_end(name.index_id)
        if held.revision < name.revision:
            self._refresh(name)
        return held.index

    def brought(self, names: Sequence[IndexName]) -> list[list[IndexName]]:
        """Return what came with the names of an envelope's parts and is not held, in batches.

        A small index is loaded sooner than a thread is reached: each batch takes one way to one.
        """
        new = {name.index_id: name for name in names if name.data and not self.holds(name.index_id)}
        batches = cut_into_batches(
            new.values(),
            lambda name: len(name.data),
            most_size=_BATCH_BYTES,
            most_items=_BATCH_INDEXES,
        )
        return list(batches)

    async def take_in(self, batches: Iterable[Sequence[IndexName]]) -> None:
        """Load and hold what came with the names of parts, the batches side by side.

        Raises:
            InternalError: Bytes that are not an index.
        """
        await do_all(self._take_in(batch, self.load_parts) for batch in batches)

    def load_parts(self, names: Sequence[IndexName]) -> list[Loaded]:
        """Load what came with the names of parts: work for a thread, and `hold` for the event loop.

        Raises:
            InternalError: Bytes that are not an index.
        """
        try:
            indexes = load_parts([name.data for name in names], self._vocabulary)
        except EngineError:
            return self._load_each(names)  # which tells of the one that it is
        return [
            Loaded(index, name.revision, len(name.data))
            for index, name in zip(indexes, names, strict=True)
        ]

    def hold(self, names: Sequence[IndexName], loaded: Sequence[Loaded]) -> None:
        """Hold what was loaded, until others are wanted more."""
        for name, one in zip(names, loaded, strict=True):
            self._keep(name.index_id, one)

    def holds(self, index_id: str) -> bool:
        """Return whether `get` would answer at once."""
        return index_id in self._loaded

    async def close(self) -> None:
        """Cancel what is being fetched."""
        tasks = [*self._fetching.values(), *self._refreshing]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._fetcher.close()

    async def _fetch_shared(self, name: IndexName) -> Loaded:
        with_grammar = (name.index_id, True)
        key = (
            with_grammar
            if name.grammar or with_grammar in self._fetching
            else (name.index_id, False)
        )
        task = self._fetching.get(key)
        if task is None:
            task = self._fetching[key] = asyncio.create_task(self._fetch_patiently(name))
            task.add_done_callback(lambda _: self._fetching.pop(key, None))
        self._waiters[key] = self._waiters.get(key, 0) + 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiters[key] -= 1
            if not self._waiters[key]:
                del self._waiters[key]
                task.cancel()  # nobody waits any more; no effect where it is done

    async def _fetch_patiently(self, name: IndexName) -> Loaded:
        """Try until the compiler answers; who waits has a deadline and cancels."""
        while True:
            try:
                return await self._fetch(name)
            except _PASSING as error:
                log.info("index_fetch_failed", index_id=name.index_id, reason=error.reason)
                await self._clock.sleep(self._config.index_retry_seconds)

    async def _fetch(self, name: IndexName) -> Loaded:
        if not name.data:
            fetched = await self._fetcher.fetch(name)
            name = replace(name, revision=fetched.revision, data=fetched.data)
        (loaded,) = await self._take_in([name], self._load_each)
        return loaded

    async def _take_in(
        self, names: Sequence[IndexName], load: Callable[[Sequence[IndexName]], list[Loaded]]
    ) -> list[Loaded]:
        loaded = await asyncio.to_thread(load, names)
        self.hold(names, loaded)
        return loaded

    def _load_each(self, names: Sequence[IndexName]) -> list[Loaded]:
        return [self._load(name) for name in names]

    def _load(self, name: IndexName) -> Loaded:
        try:
            index = Index.load(name.data, self._vocabulary)
            return Loaded(index, name.revision, len(name.data))
        except EngineError as error:
            log.warning("index_refused", index_id=name.index_id, cause=str(error))
            raise InternalError("The compiler sent an index that cannot be loaded.") from error

    def _keep(self, index_id: str, loaded: Loaded) -> None:
        before = self._loaded.pop(index_id, None)
        self._bytes += loaded.size_bytes - (before.size_bytes if before else 0)
        self._loaded[index_id] = loaded
        while self._loaded and self._is_too_much:
            _, dropped = self._loaded.popitem(last=False)
            self._bytes -= dropped.size_bytes
            self.dropped += 1

    @property
    def _is_too_much(self) -> bool:
        config = self._config
        return self._bytes > config.index_cache_bytes or len(self._loaded) > config.max_indexes

    def _refresh(self, name: IndexName) -> None:
        if (name.index_id, bool(name.grammar)) in self._fetching:
            return
        task = asyncio.create_task(self._refresh_quietly(name))
        self._refreshing.add(task)
        task.add_done_callback(self._refreshing.discard)

    async def _refresh_quietly(self, name: IndexName) -> None:
        try:
            async with asyncio.timeout(self._config.index_attempt_seconds):
                await self._fetch_shared(name)
        except (FormworkError, TimeoutError) as error:
            log.info("index_refresh_failed", index_id=name.index_id, cause=str(error))
