"""How an index is obtained that memory lacks: the store and a short compile race.

What takes longer is compiled in its project's turn, by one replica, and stored.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from formwork_engine import EngineError

from compiler_service.background import BackgroundTasks
from compiler_service.canonical import CanonicalGrammar
from compiler_service.compile_client import Compiler
from compiler_service.compile_wire import CompiledIndex
from compiler_service.config import CompilerConfig
from compiler_service.forgiving_store import ForgivingStore
from compiler_service.index_store import StoredIndex
from compiler_service.memory import HeldIndex
from compiler_service.refusals import as_refusal, queue_is_full
from mesh.clock import Clock
from mesh.errors import CompileBudgetError, FormworkError, InvalidArgumentError
from mesh.fair_gate import FairGate
from mesh.ids import IndexId, ProjectId

_FIRST_REVISION = 1


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


class CompileRace:
    """Obtains one index at a time for each caller.

    Args:
        compiler: Compiles, off the event loop and within a budget.
        store: Shared with other replicas.
        config: Section `compiler`.
        clock: Time.
        owner: Name of this replica on its claims.
        tasks: Owns queries that outlive the race.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - each is a part of its own, wired once
        self,
        compiler: Compiler,
        store: ForgivingStore,
        config: CompilerConfig,
        clock: Clock,
        owner: str,
        tasks: BackgroundTasks,
    ) -> None:
        self._compiler = compiler
        self._store = store
        self._config = config
        self._clock = clock
        self._owner = owner
        self._tasks = tasks
        self._short_slots = asyncio.Semaphore(config.short_slots)
        self._gate = FairGate(
            config.compile_slots,
            per_project=config.queue_per_project,
            total=config.queue_total,
            refuse=queue_is_full,
        )

    async def run(
        self, grammar: CanonicalGrammar, project: ProjectId, *, is_stored: bool = True
    ) -> Obtained:
        """Return the index of a grammar.

        Args:
            grammar: Canonical.
            project: Whose turn a long compile takes.
            is_stored: The store may have it; False: it was asked just now.

        Raises:
            FormworkError: As EnsureIndex says.
        """
        attempt: asyncio.Task[Obtained] | None = None
        try:
            async with self._short_slots:
                attempt = asyncio.create_task(self._compile(grammar))
                obtained = await self._first_of(attempt, grammar, is_stored=is_stored)
            while obtained is None:
                if not self._gate.has_room:  # its turn comes later
                    await _end(attempt)
                async with self._gate.turn(project):
                    obtained = await self._compile_long(grammar, attempt)
                if obtained is None:
                    await _end(attempt)
                    obtained = await self._wait_for_other(grammar)
            return obtained
        finally:
            await _end(attempt)

    async def run_short(
        self, grammars: Sequence[CanonicalGrammar], is_wanted: Callable[[IndexId], bool]
    ) -> dict[IndexId, Obtained | FormworkError]:
        """Return what comes of those grammars that take a moment, compiled in one go.

        Args:
            grammars: Canonical, a few: they hold up other short compiles together.
            is_wanted: Whether an index is still wanted once their turn has come.

        Raises:
            ServiceUnavailableError: There is no process to compile in.
        """
        async with self._short_slots:
            wanted = [grammar for grammar in grammars if is_wanted(grammar.index_id)]
            if not wanted:
                return {}
            seconds = self._config.short_compile_seconds * len(wanted)
            outcomes = await self._compiler.compile_short(wanted, seconds=seconds)
        return {
            grammar.index_id: _as_refusal_or_obtained(grammar, outcome)
            for grammar, outcome in zip(wanted, outcomes, strict=False)
        }

    async def _first_of(
        self, attempt: asyncio.Task[Obtained], grammar: CanonicalGrammar, *, is_stored: bool
    ) -> Obtained | None:
        """Return what the store has, or what was compiled in a moment; None if neither."""
        config = self._config
        if not is_stored:
            return await _result_within(attempt, config.short_compile_seconds)
        compiled = await _result_within(attempt, config.head_start_seconds)
        if compiled is not None:
            return compiled
        # not cancelled when it loses: a query that is cut costs its connection
        lookup = self._tasks.start(self._find_stored(grammar))
        await asyncio.wait(
            {attempt, lookup},
            timeout=config.short_compile_seconds,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if attempt.done():
            return attempt.result()
        stored = await asyncio.shield(lookup)
        if stored is None and attempt.done():
            return attempt.result()
        return stored

    async def _find_stored(self, grammar: CanonicalGrammar) -> Obtained | None:
        found = (await self._store.find_all([grammar.index_id])).get(grammar.index_id)
        if isinstance(found, FormworkError):
            raise found
        if found is None:
            return None
        held = HeldIndex(found, grammar.to_bytes(), is_persisted=True)
        return Obtained(held, Source.DATABASE)

    async def _compile_long(
        self, grammar: CanonicalGrammar, attempt: asyncio.Task[Obtained]
    ) -> Obtained | None:
        """Compile under a claim and store what comes of it; None where another has the claim."""
        index_id, config = grammar.index_id, self._config
        if not await self._store.claim(index_id, self._owner, seconds=config.claim_seconds):
            return None
        try:
            stored = await self._find_stored(grammar)
            if stored is not None:  # another replica was done just before
                return stored
            obtained = await (self._compile(grammar) if _is_over(attempt) else attempt)
            obtained.held.is_persisted = await self._store.record_index(obtained.held.index)
        except FormworkError as error:
            if is_about_input(error):
                await self._store.record_failure(index_id, error, seconds=config.failure_seconds)
            raise
        finally:
            await self._store.release_claim(index_id, self._owner)
        return obtained

    async def _wait_for_other(self, grammar: CanonicalGrammar) -> Obtained | None:
        """Return what another replica compiled; None when its claim is free again."""
        while True:
            await self._clock.sleep(self._config.poll_seconds)
            claimed_by = await self._store.find_claim(grammar.index_id)
            stored = await self._find_stored(grammar)
            if stored is not None or claimed_by is None:
                return stored

    async def _compile(self, grammar: CanonicalGrammar) -> Obtained:
        try:
            compiled = await self._compiler.compile(grammar, seconds=self._config.compile_seconds)
        except EngineError as error:
            raise as_refusal(error, grammar.grammar) from error
        return _as_obtained(grammar, compiled)


def is_about_input(error: FormworkError) -> bool:
    """Return whether a failure is the grammar's own, so that it would fail again."""
    return isinstance(error, InvalidArgumentError | CompileBudgetError)


def _as_refusal_or_obtained(
    grammar: CanonicalGrammar, outcome: CompiledIndex | EngineError
) -> Obtained | FormworkError:
    if isinstance(outcome, EngineError):
        return as_refusal(outcome, grammar.grammar)
    return _as_obtained(grammar, outcome)


def _as_obtained(grammar: CanonicalGrammar, compiled: CompiledIndex) -> Obtained:
    held = HeldIndex(_as_stored(grammar, compiled), grammar.to_bytes(), is_persisted=False)
    return Obtained(held, Source.COMPILED, compiled.compile_seconds)


def _as_stored(grammar: CanonicalGrammar, compiled: CompiledIndex) -> StoredIndex:
    return StoredIndex(
        index_id=grammar.index_id,
        revision=_FIRST_REVISION,
        data=compiled.data,
        shortest_answer_tokens=compiled.shortest_answer_tokens,
        compile_seconds=compiled.compile_seconds,
        fingerprint=grammar.fingerprint,
        engine_version=grammar.engine_version,
    )


async def _result_within(attempt: asyncio.Task[Obtained], seconds: float) -> Obtained | None:
    await asyncio.wait({attempt}, timeout=seconds)
    return attempt.result() if attempt.done() else None


def _is_over(task: asyncio.Task[Obtained]) -> bool:
    return task.cancelled() or task.cancelling() > 0


async def _end(task: asyncio.Task[Any] | None) -> None:
    """Cancel a task and wait until it is over; what it raised was told to whoever asked."""
    if task is not None:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()
