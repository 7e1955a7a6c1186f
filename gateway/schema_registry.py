"""Registers schemas: kept first, then compiled for every model; refused ones are not kept."""

import asyncio
from dataclasses import dataclass, field, replace

import structlog

from gateway.authentication import Caller
from gateway.config import GatewayConfig
from gateway.errors import SchemaInvalidError, code_of
from gateway.schema_indexes import SchemaIndexes
from gateway.schema_resolver import SchemaResolver
from gateway.schemas import (
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

    async def settle(self, stored: StoredSchema) -> Outcome:
        """Return what became of compiling a schema, recorded where it is news.

        Raises:
            FormworkError: Nobody can say now; nothing is recorded.
        """
        try:
            outcome = Outcome(SchemaStatus.READY, await self.indexes.ensure(stored))
        except SchemaInvalidError as error:
            said = {"code": code_of(error), "message": error.message}
            outcome = Outcome(SchemaStatus.FAILED, None, said)
        if _is_news(stored.record, outcome):
            await self.store.record_outcome(stored.record.id, outcome)
        return outcome

    @property
    def maker(self) -> str:
        """What indexes are made with now; empty while that is not known."""
        return self.indexes.maker

    async def close(self) -> None:
        """End what still compiles; the next gateway that starts goes on with it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _wait_for(self, stored: StoredSchema) -> Outcome:
        """Return the outcome, or that it is open: what takes longer goes on by itself."""
        task = asyncio.create_task(self.settle(stored))
        self._tasks.add(task)
        task.add_done_callback(self._end)
        done, _ = await asyncio.wait({task}, timeout=self.config.schema_wait_seconds)
        if not done or isinstance(task.exception(), FormworkError):
            return Outcome(SchemaStatus.COMPILING)
        return task.result()

    def _end(self, task: "asyncio.Task[Outcome]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.warning("schema_not_settled", cause=str(task.exception()))


def _is_news(record: SchemaRecord, outcome: Outcome) -> bool:
    kept = record.outcome
    return (kept.status, kept.error) != (outcome.status, outcome.error)
