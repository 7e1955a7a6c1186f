"""How an index is had: memory, then the store and a short compile at once, then a long compile."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import structlog
from formwork_engine import ENGINE_VERSION, EngineError

from compiler_service.canonical import CanonicalGrammar, id_of
from compiler_service.compile_client import Compiler
from compiler_service.compile_wire import CompiledIndex
from compiler_service.config import CompilerConfig
from compiler_service.filler import Filler
from compiler_service.forgiving_store import ForgivingStore
from compiler_service.index_store import StoredIndex
from compiler_service.memory import FailureMemory, HeldIndex
from compiler_service.refusals import as_refusal, queue_is_full
from mesh.clock import Clock
from mesh.errors import (
    CompileBudgetError,
    CompileQueueFullError,
    DeadlineExceededError,
    FormworkError,
    IndexNotFoundError,
    InvalidArgumentError,
    from_status,
    to_status,
)
from mesh.fair_gate import FairGate
from mesh.ids import IndexId, ProjectId
from mesh.memory import BoundedMemory

log = structlog.get_logger()

_FIRST_REVISION = 1
_STORED_USES = 2


class Source(Enum):
    """Where an index came from."""

    MEMORY = auto()
    DATABASE = auto()
    COMPILED = auto()


@dataclass(frozen=True)
class Obtained:
    """An index, where it came from, and the time that compiling it took for this call."""

    held: HeldIndex
    source: Source
    compile_seconds: float = 0.0


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
        self._compiler = compiler
        self._store = store
        self._config = config
        self._clock = clock
        self._owner = owner
        self._memory: BoundedMemory[IndexId, HeldIndex] = BoundedMemory(
            config.memory_bytes, lambda held: held.size
        )
        self._failures = FailureMemory(config.memory_failures, config.failure_seconds, clock)
        self._short_slots = asyncio.Semaphore(config.short_slots)
        self._gate = FairGate(
            config.compile_slots,
            per_project=config.queue_per_project,
            total=config.queue_total,
            refuse=queue_is_full,
        )
        self._filler = Filler(compiler, store, config, owner, self._hold)
        self._flights: dict[IndexId, asyncio.Task[Obtained]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

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
        obtained = await self._find_or_compile(grammar, project)
        if is_use:
            self._count_use(obtained.held, project)
        return obtained

    async def _find_or_compile(self, grammar: CanonicalGrammar, project: ProjectId) -> Obtained:
        index_id = id_of(grammar.to_bytes())
        held = self._memory.find(index_id)
        if held is not None:
            return Obtained(held, Source.MEMORY)
        failure = self._failures.find(index_id)
        if failure is not None:
            raise _fresh(failure)
        return await self._join_flight(index_id, grammar, project)

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
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # One flight per index: everybody who asks meanwhile waits for the same.

    async def _join_flight(
        self, index_id: IndexId, grammar: CanonicalGrammar, project: ProjectId
    ) -> Obtained:
        flight = self._flights.get(index_id)
        if flight is None:
            flight = self._start(self._fly(index_id, grammar, project))
            self._flights[index_id] = flight
            flight.add_done_callback(lambda _: self._flights.pop(index_id, None))
        try:
            return await asyncio.shield(flight)
        except FormworkError as error:
            raise _fresh(error) from error

    async def _fly(
        self, index_id: IndexId, grammar: CanonicalGrammar, project: ProjectId
    ) -> Obtained:
        try:
            async with asyncio.timeout(self._config.wait_seconds):
                obtained = await self._obtain(index_id, grammar, project)
        except TimeoutError as error:
            raise DeadlineExceededError("The grammar was not compiled in time.") from error
        except CompileQueueFullError:
            raise  # says nothing about the grammar
        except FormworkError as error:
            if _is_about_input(error):
                self._failures.record(index_id, _fresh(error))
            raise
        self._hold(obtained.held)
        return obtained

    def _hold(self, held: HeldIndex) -> None:
        self._memory.record(held.index.index_id, held)

    async def _obtain(
        self, index_id: IndexId, grammar: CanonicalGrammar, project: ProjectId
    ) -> Obtained:
        attempt: asyncio.Task[Obtained] | None = None
        try:
            async with self._short_slots:
                attempt = asyncio.create_task(self._compile(index_id, grammar))
                obtained = await self._first_of(attempt, index_id, grammar)
            while obtained is None:
                if not self._gate.has_room:  # its turn comes later
                    await _end(attempt)
                async with self._gate.turn(project):
                    obtained = await self._compile_long(index_id, grammar, attempt)
                if obtained is None:
                    await _end(attempt)
                    obtained = await self._wait_for_other(index_id, grammar)
            return obtained
        finally:
            await _end(attempt)

    async def _first_of(
        self, attempt: asyncio.Task[Obtained], index_id: IndexId, grammar: CanonicalGrammar
    ) -> Obtained | None:
        """Return what the store has, or what was compiled in a moment; None if neither."""
        await asyncio.wait({attempt}, timeout=self._config.head_start_seconds)
        if attempt.done():
            return attempt.result()
        # not cancelled when it loses: a query that is cut costs its connection
        lookup: asyncio.Task[Obtained | None] = self._start(self._find_stored(index_id, grammar))
        await asyncio.wait(
            {attempt, lookup},
            timeout=self._config.short_compile_seconds,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if attempt.done():
            return attempt.result()
        stored = await asyncio.shield(lookup)
        if stored is None and attempt.done():
            return attempt.result()
        return stored

    async def _find_stored(self, index_id: IndexId, grammar: CanonicalGrammar) -> Obtained | None:
        index = await self._store.find_index(index_id)
        if index is not None:
            held = HeldIndex(index, grammar.to_bytes(), is_persisted=True)
            return Obtained(held, Source.DATABASE)
        failure = await self._store.find_failure(index_id)
        if failure is not None:
            raise failure
        return None

    async def _compile_long(
        self, index_id: IndexId, grammar: CanonicalGrammar, attempt: asyncio.Task[Obtained]
    ) -> Obtained | None:
        """Compile under a claim and store what comes of it; None where another has the claim."""
        seconds = self._config.claim_seconds
        if not await self._store.claim(index_id, self._owner, seconds=seconds):
            return None
        try:
            stored = await self._find_stored(index_id, grammar)
            if stored is not None:  # another replica was done just before
                return stored
            obtained = await (self._compile(index_id, grammar) if _is_over(attempt) else attempt)
            await self._persist(obtained.held)
        except FormworkError as error:
            if _is_about_input(error):
                await self._store.record_failure(
                    index_id, error, seconds=self._config.failure_seconds
                )
            raise
        finally:
            await self._store.release_claim(index_id, self._owner)
        return obtained

    async def _wait_for_other(
        self, index_id: IndexId, grammar: CanonicalGrammar
    ) -> Obtained | None:
        """Return what another replica compiled; None when its claim is free again."""
        while True:
            await self._clock.sleep(self._config.poll_seconds)
            claimed_by = await self._store.find_claim(index_id)
            stored = await self._find_stored(index_id, grammar)
            if stored is not None or claimed_by is None:
                return stored

    async def _compile(self, index_id: IndexId, grammar: CanonicalGrammar) -> Obtained:
        try:
            compiled = await self._compiler.compile(grammar, seconds=self._config.compile_seconds)
        except EngineError as error:
            raise as_refusal(error, grammar.grammar) from error
        index = _as_stored(index_id, grammar, compiled)
        held = HeldIndex(index, grammar.to_bytes(), is_persisted=False)
        return Obtained(held, Source.COMPILED, compiled.compile_seconds)

    # What is used a second time is worth storing, what is used more is worth filling.

    def _count_use(self, held: HeldIndex, project: ProjectId) -> None:
        held.uses += 1
        if self._filler.wants(held):
            self._start(self._filler.fill(held, project))
        if held.uses >= _STORED_USES and not held.is_persisted and not held.is_persisting:
            held.is_persisting = True
            self._start(self._persist(held))

    async def _persist(self, held: HeldIndex) -> None:
        held.is_persisted = await self._store.record_index(held.index)
        held.is_persisting = False

    def _start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            error = task.exception()
            if not isinstance(error, FormworkError):  # those were raised to whoever waited
                log.error("compile_task_crashed", exc_info=error)


def _is_over(task: asyncio.Task[Obtained]) -> bool:
    return task.cancelled() or task.cancelling() > 0


async def _end(task: asyncio.Task[Any] | None) -> None:
    """Cancel a task and wait until it is over; what it raised was told to whoever asked."""
    if task is not None:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()


def _as_stored(
    index_id: IndexId, grammar: CanonicalGrammar, compiled: CompiledIndex
) -> StoredIndex:
    return StoredIndex(
        index_id=index_id,
        revision=_FIRST_REVISION,
        data=compiled.data,
        shortest_answer_tokens=compiled.shortest_answer_tokens,
        compile_seconds=compiled.compile_seconds,
        fingerprint=grammar.fingerprint,
        engine_version=grammar.engine_version,
    )


def _is_about_input(error: FormworkError) -> bool:
    return isinstance(error, InvalidArgumentError | CompileBudgetError)


def _fresh(error: FormworkError) -> FormworkError:
    """Return an equal error without the traceback and the frames that hang on it."""
    return from_status(to_status(error))
