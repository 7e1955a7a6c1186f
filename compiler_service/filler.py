"""Indexes that are used are filled in the background, one after the other."""

from collections.abc import Callable
from dataclasses import replace

import structlog
from formwork_engine import AnyJson, EngineError, JsonSchema

from compiler_service.canonical import CanonicalGrammar
from compiler_service.compile_client import Compiler
from compiler_service.config import CompilerConfig
from compiler_service.forgiving_store import ForgivingStore
from compiler_service.index_store import StoredIndex
from compiler_service.memory import HeldIndex
from compiler_service.refusals import queue_is_full
from mesh.errors import CompileQueueFullError, FormworkError, ServiceUnavailableError
from mesh.fair_gate import FairGate
from mesh.ids import ProjectId

log = structlog.get_logger()

FILLED_REVISION = 2


class Filler:
    """Fills indexes, fairly between projects, and stores each as the next revision.

    Whatever goes wrong, an index that was there stays as good as it was.

    Args:
        compiler: Fills, in time that nobody else wants.
        store: Shared with other replicas: each index is filled by one of them.
        config: Section `compiler`.
        owner: Name of this replica on its claims.
        adopt: Takes an index that was filled.
    """

    def __init__(
        self,
        compiler: Compiler,
        store: ForgivingStore,
        config: CompilerConfig,
        owner: str,
        adopt: Callable[[HeldIndex], None],
    ) -> None:
        self._compiler = compiler
        self._store = store
        self._config = config
        self._owner = f"{owner}/fill"
        self._adopt = adopt
        self._gate = FairGate(
            1,
            per_project=config.fill_queue_per_project,
            total=config.fill_queue_total,
            refuse=queue_is_full,
        )

    def wants(self, held: HeldIndex) -> bool:
        """Tell whether it is time to fill an index: it is stored, and was used often enough."""
        is_used = 0 < self._config.fill_uses <= held.uses
        is_new = held.index.revision < FILLED_REVISION and not held.is_filling
        return is_used and is_new and held.is_persisted

    async def fill(self, held: HeldIndex, project: ProjectId) -> None:
        """Fill an index when its project's turn has come; where too many wait, at a later use."""
        held.is_filling = True
        try:
            async with self._gate.turn(project):
                filled = await self._obtain(held)
        except (CompileQueueFullError, ServiceUnavailableError):
            held.is_filling = False  # it passes
            return
        except (EngineError, FormworkError) as error:
            log.warning("fill_failed", index_id=held.index.index_id, cause=str(error))
            return
        if filled is not None:
            self._adopt(HeldIndex(filled, held.canonical_grammar, is_persisted=True))

    async def _obtain(self, held: HeldIndex) -> StoredIndex | None:
        """Return the filled index, another replica's or ours; None where there is none."""
        index, grammar = held.index, CanonicalGrammar.from_bytes(held.canonical_grammar)
        if not isinstance(grammar.grammar, JsonSchema | AnyJson):
            return None  # what is no JSON has nothing to fill
        stored = await self._store.find_index(index.index_id)
        if stored is not None and stored.revision >= FILLED_REVISION:
            return stored
        seconds = self._config.fill_limit_seconds
        if not await self._store.claim(index.index_id, self._owner, seconds=seconds):
            held.is_filling = False  # another replica is at it: see at a later use
            return None
        try:
            compiled = await self._compiler.fill(grammar)
            filled = replace(index, revision=FILLED_REVISION, data=compiled.data)
            is_stored = await self._store.record_index(filled)
        finally:
            await self._store.release_claim(index.index_id, self._owner)
        log.info("index_filled", index_id=index.index_id, bytes=len(filled.data))
        return filled if is_stored else None
