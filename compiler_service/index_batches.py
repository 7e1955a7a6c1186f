"""The indexes of a tool set, obtained together: looked up at once, compiled a few in one go."""

import asyncio
from collections.abc import Mapping, Sequence

from compiler_service.background import BackgroundTasks
from compiler_service.canonical import CanonicalGrammar
from compiler_service.compile_race import CompileRace, Obtained, is_about_input
from compiler_service.forgiving_store import ForgivingStore
from compiler_service.memory import HeldIndex, IndexMemory
from mesh.batches import cut_into_batches
from mesh.errors import FormworkError, ServiceUnavailableError
from mesh.ids import IndexId
from mesh.tasks import do_all

_READ_AT_ONCE = 32
"""Indexes that one query reads: each may be large."""
# Of one go: a process is given back to others after it, whatever the grammars are.
_COMPILED_AT_ONCE = 8
_COMPILED_BYTES = 64 * 1024

Grammars = Mapping[IndexId, CanonicalGrammar]


class IndexBatches:
    """Obtains what can be had in a moment of several indexes, each once at a time.

    Args:
        race: Compiles.
        store: Shared with other replicas.
        memory: Knows afterwards what was had.
        tasks: Owns what outlives its callers.
        head_start_seconds: For each index: how long compiling goes on before the store is asked.
    """

    def __init__(
        self,
        race: CompileRace,
        store: ForgivingStore,
        memory: IndexMemory,
        tasks: BackgroundTasks,
        head_start_seconds: float,
    ) -> None:
        self._race = race
        self._store = store
        self._memory = memory
        self._tasks = tasks
        self._head_start_seconds = head_start_seconds
        self._under_way: dict[IndexId, asyncio.Task[dict[IndexId, Obtained]]] = {}

    async def obtain(self, grammars: Grammars) -> Mapping[IndexId, Obtained]:
        """Have memory know all that is stored, and all that takes a moment to compile.

        Where one takes longer, it and some behind it are left to be compiled each alone.

        Args:
            grammars: That memory lacks.

        Returns:
            What was compiled for this call.
        """
        own = {one: grammar for one, grammar in grammars.items() if one not in self._under_way}
        task = self._tasks.start(self._obtain(own))
        waiting = {task, *(self._under_way[one] for one in grammars.keys() - own.keys())}
        self._under_way |= dict.fromkeys(own, task)
        task.add_done_callback(lambda _: self._forget(own))
        await asyncio.wait(waiting)
        return task.result()

    async def wait_for(self, index_id: IndexId) -> None:
        """Return once an index is not under way here, whatever came of it."""
        task = self._under_way.get(index_id)
        if task is not None:
            await asyncio.wait({task})

    def _forget(self, grammars: Grammars) -> None:
        for index_id in grammars:
            del self._under_way[index_id]

    async def _obtain(self, grammars: Grammars) -> dict[IndexId, Obtained]:
        compiling = self._tasks.start(self._compile_all(grammars))
        await asyncio.wait({compiling}, timeout=self._head_start_seconds * len(grammars))
        lacking = {one: grammar for one, grammar in grammars.items() if not self._memory.knows(one)}
        if lacking:
            looking = self._tasks.start(self._recall_stored(lacking))
            await asyncio.wait({compiling})
            if not all(map(self._memory.knows, lacking)):
                await asyncio.wait({looking})
        return await compiling

    async def _compile_all(self, grammars: Grammars) -> dict[IndexId, Obtained]:
        batches = cut_into_batches(
            grammars.values(),
            lambda grammar: len(grammar.to_bytes()),
            most_size=_COMPILED_BYTES,
            most_items=_COMPILED_AT_ONCE,
        )
        compiled: dict[IndexId, Obtained] = {}
        for each in await do_all(map(self._compile, batches)):
            compiled |= each
        return compiled

    async def _compile(self, grammars: Sequence[CanonicalGrammar]) -> dict[IndexId, Obtained]:
        """Remember what comes of a few grammars, and return those that were compiled."""
        try:
            outcomes = await self._race.run_short(
                grammars, lambda index_id: not self._memory.knows(index_id)
            )
        except ServiceUnavailableError:
            return {}  # who compiles them alone is told
        compiled: dict[IndexId, Obtained] = {}
        for index_id, outcome in outcomes.items():
            if isinstance(outcome, Obtained):
                compiled[index_id] = outcome
                self._memory.hold(outcome.held)
            elif is_about_input(outcome):
                self._memory.refuse(index_id, outcome)
        return compiled

    async def _recall_stored(self, grammars: Grammars) -> None:
        """Remember what the store knows of several grammars."""
        ids = list(grammars)
        for start in range(0, len(ids), _READ_AT_ONCE):
            found = await self._store.find_all(ids[start : start + _READ_AT_ONCE])
            for index_id, stored in found.items():
                if isinstance(stored, FormworkError):
                    self._memory.refuse(index_id, stored)
                else:
                    grammar = grammars[index_id].to_bytes()
                    self._memory.hold(HeldIndex(stored, grammar, is_persisted=True))
