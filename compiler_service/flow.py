"""How an index is had: from memory, else by one race for everybody who asks meanwhile."""

import asyncio
from collections.abc import Mapping, Sequence

import structlog
from formwork_engine import ENGINE_VERSION

from compiler_service.background import BackgroundTasks
from compiler_service.canonical import CanonicalGrammar, id_of
from compiler_service.compile_client import Compiler
from compiler_service.compile_race import CompileRace, Obtained, Source, is_about_input
from compiler_service.config import CompilerConfig
from compiler_service.filler import Filler
from compiler_service.forgiving_store import ForgivingStore
from compiler_service.index_store import StoredIndex
from compiler_service.memory import FailureMemory, HeldIndex
from mesh.clock import Clock
from mesh.errors import (
    CompileQueueFullError,
    DeadlineExceededError,
    FormworkError,
    IndexNotFoundError,
    InvalidArgumentError,
    from_status,
    to_status,
)
from mesh.ids import IndexId, ProjectId
from mesh.memory import BoundedMemory
from mesh.tasks import do_all

log = structlog.get_logger()

_STORED_USES = 2
_MOST_AT_ONCE = 32  # indexes read by one query: each may be large


class IndexFlow:
    """Gives out indexes, each compiled once at a time.

    Args:
        compiler: Compiles, off the event loop and within a budget.
        store: Shared with other replicas.
        config: Section `compiler`.
        clock: Time.
        owner: Name of this replica on its claims.
    """

    def __init__(
        self,
        compiler: Compiler,
        store: ForgivingStore,
        config: CompilerConfig,
        clock: Clock,
        owner: str,
    ) -> None:
        self._store = store
        self._config = config
        self._clock = clock
        self._memory: BoundedMemory[IndexId, HeldIndex] = BoundedMemory(
            config.memory_bytes, lambda held: held.size
        )
        self._failures = FailureMemory(config.memory_failures, config.failure_seconds, clock)
        self._tasks = BackgroundTasks()
        self._race = CompileRace(compiler, store, config, clock, owner, self._tasks)
        self._filler = Filler(compiler, store, config, owner, self._hold)
        self._flights: dict[IndexId, asyncio.Task[Obtained]] = {}

    async def ensure(
        self, grammar: CanonicalGrammar, project: ProjectId, *, is_use: bool = True
    ) -> Obtained:
        """Return the index of a grammar; a compile that was started outlives the caller.

        Args:
            grammar: Canonical.
            project: Whose turn a long compile takes.
            is_use: Brings the index nearer to being stored and filled; prewarming does not.

        Raises:
            FormworkError: As EnsureIndex says.
        """
        return await self._ensure(grammar, project, is_use=is_use, is_stored=True)

    async def ensure_all(
        self, grammars: Sequence[CanonicalGrammar], project: ProjectId, *, is_use: bool = True
    ) -> list[Obtained | FormworkError]:
        """Return of each what `ensure` returns or raises.

        The store is asked once for all that memory lacks, and no more than `ensure_at_once` are
        compiled at a time: they do not fill the queue of their project.
        """
        unknown = {one.index_id: one for one in grammars if not self._knows(one.index_id)}
        stored = await self._recall_stored(unknown) if len(unknown) > 1 else unknown
        slots = asyncio.Semaphore(self._config.ensure_at_once)

        async def outcome(grammar: CanonicalGrammar) -> Obtained | FormworkError:
            is_stored = grammar.index_id in stored or grammar.index_id not in unknown
            try:
                async with slots:
                    return await self._ensure(grammar, project, is_use=is_use, is_stored=is_stored)
            except FormworkError as error:
                return error

        return await do_all(map(outcome, grammars))

    async def fetch(self, index_id: IndexId, revision: int, canonical: bytes) -> StoredIndex:
        """Return an index by its id, at this revision or a higher one if there is one.

        All revisions say the same: where a filled one was lost, the first is as good.

        Args:
            index_id: As `ensure` named it.
            revision: The least that is wanted.
            canonical: Its canonical grammar, to compile it again; empty if it is stored.

        Raises:
            IndexNotFoundError: It is not held, and no grammar came with the call.
            InvalidArgumentError: The grammar is of another index.
        """
        held = self._memory.find(index_id)
        index = held.index if held is not None else None
        if index is None or index.revision < revision:
            index = await self._store.find_index(index_id) or index
        if index is None and canonical:
            grammar = self._checked_grammar(index_id, canonical)
            index = (await self.ensure(grammar, ProjectId(""))).held.index
        if index is None:
            raise IndexNotFoundError(
                f"No index is held under {index_id}.", metadata={"index_id": index_id}
            )
        return index

    def _checked_grammar(self, index_id: IndexId, canonical: bytes) -> CanonicalGrammar:
        if id_of(canonical) != index_id:
            raise InvalidArgumentError(
                "The canonical grammar is of another index.", field="canonical_grammar"
            )
        try:
            grammar = CanonicalGrammar.from_bytes(canonical)
        except ValueError as error:
            raise InvalidArgumentError(str(error), field="canonical_grammar") from error
        # Neither can be compiled here: another engine, or more than this service would spend.
        if grammar.engine_version != ENGINE_VERSION or grammar.budget != self._config.budget():
            raise IndexNotFoundError(
                f"The index is of engine {grammar.engine_version} or another budget.",
                metadata={"index_id": index_id},
            )
        return grammar

    async def prune_forever(self) -> None:
        """Keep the store within its bounds, until cancelled."""
        while True:
            await self._clock.sleep(self._config.prune_seconds)
            pruned = await self._store.prune(
                engine_version=ENGINE_VERSION,
                keep_seconds=self._config.keep_seconds,
                max_bytes=self._config.store_bytes,
            )
            log.info("store_pruned", indexes=pruned)

    async def drain(self, seconds: float) -> None:
        """Let what is under way end within `seconds`, then cancel the rest."""
        await self._tasks.drain(seconds)

    async def _ensure(
        self, grammar: CanonicalGrammar, project: ProjectId, *, is_use: bool, is_stored: bool
    ) -> Obtained:
        obtained = self._recall(grammar.index_id)
        if obtained is None:
            obtained = await self._join_flight(grammar, project, is_stored=is_stored)
        if is_use:
            self._count_use(obtained.held, project)
        return obtained

    # What memory holds, and what the store is asked for at once.

    def _recall(self, index_id: IndexId) -> Obtained | None:
        held = self._memory.find(index_id)
        if held is not None:
            return Obtained(held, Source.MEMORY)
        failure = self._failures.find(index_id)
        if failure is not None:
            raise _fresh(failure)
        return None

    def _knows(self, index_id: IndexId) -> bool:
        return self._memory.find(index_id) is not None or self._failures.find(index_id) is not None

    async def _recall_stored(
        self, unknown: Mapping[IndexId, CanonicalGrammar]
    ) -> Mapping[IndexId, StoredIndex | FormworkError]:
        """Remember, and return, what the store knows of several grammars."""
        stored: dict[IndexId, StoredIndex | FormworkError] = {}
        ids = list(unknown)
        for start in range(0, len(ids), _MOST_AT_ONCE):
            stored |= await self._store.find_all(ids[start : start + _MOST_AT_ONCE])
        for index_id, found in stored.items():
            if isinstance(found, FormworkError):
                self._failures.record(index_id, found)
            else:
                self._hold(HeldIndex(found, unknown[index_id].to_bytes(), is_persisted=True))
        return stored

    def _hold(self, held: HeldIndex) -> None:
        self._memory.record(held.index.index_id, held)

    # One flight per index: everybody who asks meanwhile waits for the same.

    async def _join_flight(
        self, grammar: CanonicalGrammar, project: ProjectId, *, is_stored: bool
    ) -> Obtained:
        index_id = grammar.index_id
        flight = self._flights.get(index_id)
        if flight is None:
            flight = self._tasks.start(self._fly(grammar, project, is_stored=is_stored))
            self._flights[index_id] = flight
            flight.add_done_callback(lambda _: self._flights.pop(index_id, None))
        try:
            return await asyncio.shield(flight)
        except FormworkError as error:
            raise _fresh(error) from error

    async def _fly(
        self, grammar: CanonicalGrammar, project: ProjectId, *, is_stored: bool
    ) -> Obtained:
        try:
            async with asyncio.timeout(self._config.wait_seconds):
                obtained = await self._race.run(grammar, project, is_stored=is_stored)
        except TimeoutError as error:
            raise DeadlineExceededError("The grammar was not compiled in time.") from error
        except CompileQueueFullError:
            raise  # says nothing about the grammar
        except FormworkError as error:
            if is_about_input(error):
                self._failures.record(grammar.index_id, _fresh(error))
            raise
        self._hold(obtained.held)
        return obtained

    # What is used a second time is worth storing, what is used more is worth filling.

    def _count_use(self, held: HeldIndex, project: ProjectId) -> None:
        held.uses += 1
        if self._filler.wants(held):
            self._tasks.start(self._filler.fill(held, project))
        if held.uses >= _STORED_USES and not held.is_persisted and not held.is_persisting:
            held.is_persisting = True
            self._tasks.start(self._persist(held))

    async def _persist(self, held: HeldIndex) -> None:
        held.is_persisted = await self._store.record_index(held.index)
        held.is_persisting = False


def _fresh(error: FormworkError) -> FormworkError:
    """Return an equal error without the traceback and the frames that hang on it."""
    return from_status(to_status(error))
