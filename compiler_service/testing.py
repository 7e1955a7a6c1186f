"""Fakes of this package's own protocols, for unit tests."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence

from formwork_engine import EngineError

from compiler_service.canonical import CanonicalGrammar
from compiler_service.compile_wire import CompiledIndex
from compiler_service.index_store import StoredIndex
from mesh.clock import Clock
from mesh.errors import CompileBudgetError, FormworkError, from_status, to_status
from mesh.ids import IndexId


class FakeIndexStore:
    """An IndexStore in memory, which several replicas of a test may share.

    Args:
        clock: Its wall-clock time counts.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._indexes: dict[IndexId, tuple[StoredIndex, float]] = {}
        self._failures: dict[IndexId, tuple[FormworkError, float]] = {}
        self._claims: dict[IndexId, tuple[str, float]] = {}

    async def find_index(self, index_id: IndexId) -> StoredIndex | None:
        """Return the highest revision of an index, and count a use of it."""
        if index_id not in self._indexes:
            return None
        index, _ = self._indexes[index_id]
        self._indexes[index_id] = (index, self._now())
        return index

    async def find_all(
        self, index_ids: Sequence[IndexId]
    ) -> Mapping[IndexId, StoredIndex | FormworkError]:
        """Return of each that is known its index, as `find_index`, else why it was refused."""
        each = {one: await self.find_index(one) or self._failure(one) for one in index_ids}
        return {index_id: found for index_id, found in each.items() if found is not None}

    async def record_index(self, index: StoredIndex) -> None:
        """Keep an index; one that is kept already stays as it is."""
        kept = self._indexes.get(index.index_id)
        if kept is None or kept[0].revision < index.revision:
            self._indexes[index.index_id] = (index, self._now())

    async def record_failure(
        self, index_id: IndexId, error: FormworkError, *, seconds: float
    ) -> None:
        """Remember for a while why a grammar was refused."""
        self._failures[index_id] = (from_status(to_status(error)), self._now() + seconds)

    async def claim(self, index_id: IndexId, owner: str, *, seconds: float) -> bool:
        """Return whether the compile is the owner's from now on, for at most `seconds`."""
        holder = await self.find_claim(index_id)
        if holder not in (None, owner):
            return False
        self._claims[index_id] = (owner, self._now() + seconds)
        return True

    async def find_claim(self, index_id: IndexId) -> str | None:
        """Return whose an unexpired claim is."""
        owner, expires_at = self._claims.get(index_id, (None, 0.0))
        return owner if self._now() < expires_at else None

    async def release_claim(self, index_id: IndexId, owner: str) -> None:
        """Give a claim up; without effect if it is another's."""
        if self._claims.get(index_id, ("", 0.0))[0] == owner:
            del self._claims[index_id]

    async def prune(self, *, engine_version: str, keep_seconds: float, max_bytes: int) -> int:
        """Remove what is expired, unused or too much, and return how many indexes that were."""
        before, total = len(self._indexes), 0
        by_use = sorted(self._indexes.items(), key=lambda entry: entry[1][1], reverse=True)
        for index_id, (index, used_at) in by_use:
            total += len(index.data)
            keep = keep_seconds if index.engine_version == engine_version else keep_seconds / 10
            if total > max_bytes or used_at < self._now() - keep:
                del self._indexes[index_id]
        return before - len(self._indexes)

    def _failure(self, index_id: IndexId) -> FormworkError | None:
        error, expires_at = self._failures.get(index_id, (None, 0.0))
        return error if self._now() < expires_at else None

    def _now(self) -> float:
        return self._clock.now().timestamp()


class FakeCompiler:
    """A Compiler that answers at once, or when the test lets it.

    Args:
        refuse: What it raises for a grammar, if anything.
    """

    def __init__(
        self, refuse: Callable[[CanonicalGrammar], EngineError | FormworkError | None] | None = None
    ) -> None:
        self.refuse = refuse or (lambda _: None)
        self.gate = asyncio.Event()
        """Compiles end while it is set, as it is at first."""
        self.gate.set()
        self.started: list[CanonicalGrammar] = []
        self.filled: list[CanonicalGrammar] = []
        self.finished = 0
        self.cancelled = 0

    async def fill(self, grammar: CanonicalGrammar) -> CompiledIndex:
        """Return bytes that stand for a filled index."""
        self.filled.append(grammar)
        await self.gate.wait()
        refusal = self.refuse(grammar)
        if refusal is not None:
            raise refusal
        return CompiledIndex(b"filled index of " + grammar.to_bytes(), None, 0.01)

    async def compile_short(
        self, grammars: Sequence[CanonicalGrammar], *, seconds: float
    ) -> list[CompiledIndex | EngineError]:
        """Return bytes that stand for indexes, as far as the test lets compiles end in time."""
        outcomes: list[CompiledIndex | EngineError] = []
        with contextlib.suppress(TimeoutError, CompileBudgetError):
            async with asyncio.timeout(seconds):
                for grammar in grammars:
                    outcomes += [await self._outcome(grammar, seconds)]
        return outcomes

    async def _outcome(
        self, grammar: CanonicalGrammar, seconds: float
    ) -> CompiledIndex | EngineError:
        try:
            return await self.compile(grammar, seconds=seconds)
        except EngineError as error:
            return error

    async def compile(self, grammar: CanonicalGrammar, *, seconds: float) -> CompiledIndex:
        """Return bytes that stand for an index."""
        self.started.append(grammar)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        refusal = self.refuse(grammar)
        if refusal is not None:
            raise refusal
        self.finished += 1
        return CompiledIndex(b"index of " + grammar.to_bytes(), None, min(0.01, seconds))
