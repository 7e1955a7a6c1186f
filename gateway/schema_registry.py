"""Registers schemas: kept first, then compiled for every model; refused ones are not kept."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import structlog

from gateway.authentication import Caller
from gateway.config import GatewayConfig
from gateway.errors import SchemaInvalidError, code_of
from gateway.schema_indexes import SchemaIndexes
from gateway.schema_resolver import SchemaResolver
from gateway.schemas import (
    Maker,
    ModelKind,
    Outcome,
    SchemaBounds,
    SchemaDraft,
    SchemaRecord,
    SchemaStatus,
    SchemaStore,
    StoredSchema,
)
from mesh.errors import FormworkError
from mesh.ids import ProjectId, SchemaId

log = structlog.get_logger()

Made = Mapping[ModelKind, float | FormworkError]
"""Seconds, or what went wrong, by kind of model."""


@dataclass(frozen=True)
class SchemaRegistry:
    """What happens to a schema between its registration and its removal."""

    store: SchemaStore
    indexes: SchemaIndexes
    resolver: SchemaResolver
    config: GatewayConfig
    _tasks: set["asyncio.Task[Outcome]"] = field(default_factory=set)

    async def register(self, caller: Caller, draft: SchemaDraft) -> StoredSchema:
        """Return the schema, ready, or still compiling where that takes longer than a moment.

        Raises:
            SchemaInvalidError: It cannot be enforced; a new one is not kept.
            SchemaLimitError: The project keeps as much as it may.
        """
        config = self.config
        bounds = SchemaBounds(config.max_schemas_per_project, config.max_schemas_bytes_per_project)
        record, is_new = await self.store.add_schema(caller.project_id, draft, bounds)
        self.resolver.forget(caller.project_id, record.id)
        stored = StoredSchema(record, draft.body, caller.dialect)
        if record.outcome.status is SchemaStatus.READY:
            return stored
        outcome = await self._wait_for(stored)
        if outcome.status is SchemaStatus.FAILED and outcome.error is not None:
            if is_new:
                await self.remove(record.project_id, record.id)
            raise SchemaInvalidError(outcome.error["message"], field="schema")
        return replace(stored, record=replace(record, outcome=outcome))

    async def remove(self, project_id: ProjectId, schema_id: SchemaId) -> bool:
        """Remove a project's schema, here at once; False where there is none."""
        is_removed = await self.store.remove_schema(project_id, schema_id)
        self.resolver.forget(project_id, schema_id)
        return is_removed

    async def settle(
        self, stored: StoredSchema, models: Collection[ModelKind] | None = None
    ) -> Made:
        """Return what came of compiling a schema; what that makes of it is recorded as it is news.

        Args:
            stored: The schema.
            models: The kinds of models that it is compiled for; None: all.

        Raises:
            FormworkError: Nobody can say now; nothing is recorded.
        """
        made = await self.indexes.ensure(stored, models)
        outcome = _outcome_of(made)
        is_whole = len(made) == len(self.makers)
        is_certain = is_whole or (outcome is not None and outcome.status is SchemaStatus.FAILED)
        if outcome is not None and is_certain and _is_news(stored.record, outcome):
            await self.store.record_outcome(stored.record.id, outcome)
        return made

    @property
    def engine(self) -> str:
        """The version of the engine that makes indexes; empty while that is not known."""
        return self.indexes.engine

    @property
    def makers(self) -> Collection[Maker]:
        """What indexes are made with now, for every kind of model."""
        return self.indexes.makers

    async def close(self) -> None:
        """End what still compiles; the next gateway that starts goes on with it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _wait_for(self, stored: StoredSchema) -> Outcome:
        """Return the outcome, or that it is open: what takes longer goes on by itself."""
        task = asyncio.create_task(self._settle_whole(stored))
        self._tasks.add(task)
        task.add_done_callback(self._end)
        done, _ = await asyncio.wait({task}, timeout=self.config.schema_wait_seconds)
        if not done or isinstance(task.exception(), FormworkError):
            return Outcome(SchemaStatus.COMPILING)
        return task.result()

    async def _settle_whole(self, stored: StoredSchema) -> Outcome:
        made = await self.settle(stored)
        outcome = _outcome_of(made)
        if outcome is None:
            raise next(error for error in made.values() if isinstance(error, FormworkError))
        return outcome

    def _end(self, task: "asyncio.Task[Outcome]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.warning("schema_not_settled", cause=str(task.exception()))


def _outcome_of(made: Made) -> Outcome | None:
    """Return what becomes of a schema; None where nobody can say of all models."""
    errors = [error for error in made.values() if isinstance(error, FormworkError)]
    refused = next((error for error in errors if isinstance(error, SchemaInvalidError)), None)
    if refused is not None:
        said = {"code": code_of(refused), "message": refused.message}
        return Outcome(SchemaStatus.FAILED, None, said)
    if errors:
        return None
    seconds = [took for took in made.values() if not isinstance(took, FormworkError)]
    return Outcome(SchemaStatus.READY, max(seconds, default=0.0))


def _is_news(record: SchemaRecord, outcome: Outcome) -> bool:
    kept = record.outcome
    return (kept.status, kept.error) != (outcome.status, outcome.error)
