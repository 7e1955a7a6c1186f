"""How an index is had: from memory, else by one race for everybody who asks meanwhile."""

import asyncio
from collections.abc import Iterable, Sequence

import structlog
from formwork_engine import ENGINE_VERSION

from compiler_service.background import BackgroundTasks
from compiler_service.canonical import CanonicalGrammar, id_of
from compiler_service.compile_client import Compiler
from compiler_service.compile_race import CompileRace, Obtained, Source, is_about_input
from compiler_service.config import CompilerConfig
from compiler_service.filler import Filler
from compiler_service.forgiving_store import ForgivingStore
from compiler_service.index_batches import IndexBatches
from compiler_service.index_store import StoredIndex
from compiler_service.memory import FailureMemory, HeldIndex, IndexMemory
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
from mesh.tasks import do_all

log = structlog.get_logger()

_STORED_USES = 2


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
        failures = FailureMemory(config.memory_failures, config.failure_seconds, clock)
        self._memory = IndexMemory(config.memory_bytes, failures)
        self._tasks = BackgroundTasks()
        self._race = CompileRace(compiler, store, config, clock, owner, self._tasks)
        self._batches = IndexBatches(
            self._race, store, self._memory, self._tasks, config.head_start_seconds
        )
        self._filler = Filler(compiler, store, config, owner, self._memory.hold)
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
        obtained = await self._obtain(grammar, project, is_stored=True)
        if is_use:
            self._count_uses([obtained], project)
        return obtained

    async def ensure_all(
        self, grammars: Sequence[CanonicalGrammar], project: ProjectId, *, is_use: bool = True
    ) -> list[Obtained | FormworkError]:
        """Return of each what `ensure` returns or raises.

        What memory lacks is obtained together, as far as that takes a moment; of the others no more
        than `ensure_at_once` are compiled at a time: they do not fill the queue of their project.
        """
        lacking = {one.index_id: one for one in grammars if self._is_lacking(one.index_id)}
        compiled = await self._batches.obtain(lacking) if len(lacking) > 1 else {}
        is_stored = len(lacking) <= 1  # else the store was asked
        slots = asyncio.Semaphore(self._config.ensure_at_once)

        async def obtain(grammar: CanonicalGrammar) -> Obtained | FormworkError:
            try:
                async with slots:
                    return await self._obtain(grammar, project, is_stored=is_stored)
            except FormworkError as error:
                return error

        found = [compiled.get(one.index_id) or self._recall(one.index_id) for one in grammars]
        late = [one for one, known in zip(grammars, found, strict=True) if known is None]
        obtained = iter(await do_all(map(obtain, late)))
        outcomes = [known or next(obtained) for known in found]
        if is_use:
            self._count_uses(outcomes, project)
        return outcomes

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
        index = held.index if isinstance(held, HeldIndex) else None
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

    async def _obtain(
        self, grammar: CanonicalGrammar, project: ProjectId, *, is_stored: bool
    ) -> Obtained:
        known = self._recall(grammar.index_id)
        if known is None:
            await self._batches.wait_for(grammar.index_id)
            known = self._recall(grammar.index_id)
        if isinstance(known, FormworkError):
            raise known
        return known or await self._join_flight(grammar, project, is_stored=is_stored)

    def _recall(self, index_id: IndexId) -> Obtained | FormworkError | None:
        """Return what memory knows of an index."""
        known = self._memory.find(index_id)
        if isinstance(known, HeldIndex):
            return Obtained(known, Source.MEMORY)
        return None if known is None else _fresh(known)

    def _is_lacking(self, index_id: IndexId) -> bool:
        return index_id not in self._flights and not self._memory.knows(index_id)

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
                self._memory.refuse(grammar.index_id, _fresh(error))
            raise
        self._memory.hold(obtained.held)
        return obtained

    # What is used a second time is worth storing, what is used more is worth filling.

    def _count_uses(self, outcomes: Iterable[Obtained | FormworkError], project: ProjectId) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Obtained):
                self._count_use(outcome.held, project)

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
