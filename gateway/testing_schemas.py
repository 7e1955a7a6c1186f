"""A store of registered schemas in memory: what the one in PostgreSQL promises, it does too."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from gateway.errors import SchemaLimitError
from gateway.pages import Page
from gateway.schemas import (
    Outcome,
    SchemaBounds,
    SchemaDraft,
    SchemaRecord,
    SchemaStatus,
    StoredSchema,
    new_schema_id,
    share_of,
)
from mesh.errors import DatabaseUnavailableError
from mesh.ids import ProjectId, SchemaId


class MemorySchemaStore:
    """Schemas in memory; `is_down` plays a database that does not answer."""

    def __init__(self) -> None:
        self.schemas: dict[SchemaId, StoredSchema] = {}
        self.dialects: dict[ProjectId, str] = {}
        self.lookups = 0
        self.writes_of_uses = 0
        self.is_down = False
        self._last_versions: Counter[tuple[ProjectId, str]] = Counter()

    async def add_schema(
        self, project_id: ProjectId, draft: SchemaDraft, bounds: SchemaBounds
    ) -> tuple[SchemaRecord, bool]:
        """Return the draft as the next version of its name, or the same one that is there."""
        self._check_up()
        named = [s for s in self._of(project_id) if s.record.name == draft.name]
        newest = max(named, key=lambda stored: stored.record.version, default=None)
        if newest is not None and _draft_of(newest) == draft:
            return newest.record, False
        self._check_bounds(project_id, draft, bounds)
        self._last_versions[project_id, draft.name] += 1
        record = SchemaRecord(
            new_schema_id(),
            project_id,
            draft.name,
            self._last_versions[project_id, draft.name],
            draft.description,
            draft.strict,
            len(draft.body.encode()),
            Outcome(SchemaStatus.COMPILING),
            0,
            datetime.now(UTC),
        )
        dialect = self.dialects.get(project_id, "strict")
        self.schemas[record.id] = StoredSchema(record, draft.body, dialect)
        return record, True

    async def find_schema(self, project_id: ProjectId, schema_id: SchemaId) -> StoredSchema | None:
        """Return a project's schema."""
        self._check_up()
        self.lookups += 1
        stored = self.schemas.get(schema_id)
        return stored if stored is not None and stored.record.project_id == project_id else None

    async def list_schemas(
        self, project_id: ProjectId, page: Page, name: str | None
    ) -> Sequence[SchemaRecord]:
        """Return one more than the page has, where there are more."""
        self._check_up()
        records = [s.record for s in self._of(project_id) if name in (None, s.record.name)]
        records.sort(key=lambda record: record.id, reverse=not page.is_ascending)
        if page.after is not None:
            records = [r for r in records if (r.id > page.after) is page.is_ascending]
            records = [record for record in records if record.id != page.after]
        return records[: page.limit + 1]

    async def remove_schema(self, project_id: ProjectId, schema_id: SchemaId) -> bool:
        """Remove a project's schema; False where there is none."""
        stored = await self.find_schema(project_id, schema_id)
        if stored is None:
            return False
        del self.schemas[schema_id]
        name = stored.record.name
        if all(other.record.name != name for other in self._of(project_id)):
            del self._last_versions[project_id, name]
        return True

    async def record_outcome(self, schema_id: SchemaId, outcome: Outcome) -> None:
        """Keep what became of compiling."""
        self._check_up()
        if schema_id in self.schemas:
            kept = self.schemas[schema_id].record.outcome.seconds
            seconds = outcome.seconds if kept is None else kept
            self._change(schema_id, outcome=replace(outcome, seconds=seconds))

    async def record_uses(self, uses: Mapping[SchemaId, int]) -> None:
        """Add to the uses of schemas."""
        self._check_up()
        self.writes_of_uses += 1
        for schema_id in uses.keys() & self.schemas.keys():
            record = self.schemas[schema_id].record
            self._change(schema_id, uses=record.uses + uses[schema_id])

    async def list_wanted(self, maximum: int) -> Sequence[tuple[ProjectId, SchemaId]]:
        """Return what should be compiled ahead."""
        self._check_up()
        records = sorted((s.record for s in self.schemas.values()), key=_wanted, reverse=True)
        counted: Counter[ProjectId] = Counter()
        first: list[SchemaRecord] = []
        others: list[SchemaRecord] = []
        for record in records:
            counted[record.project_id] += 1
            is_first = counted[record.project_id] <= share_of(maximum)
            (first if is_first else others).append(record)
        return [(record.project_id, record.id) for record in [*first, *others][:maximum]]

    def _of(self, project_id: ProjectId) -> list[StoredSchema]:
        return [s for s in self.schemas.values() if s.record.project_id == project_id]

    def _check_up(self) -> None:
        if self.is_down:
            raise DatabaseUnavailableError("The database does not answer.")

    def _check_bounds(
        self, project_id: ProjectId, draft: SchemaDraft, bounds: SchemaBounds
    ) -> None:
        sizes = [stored.record.size for stored in self._of(project_id)]
        if len(sizes) >= bounds.count:
            raise SchemaLimitError("max_schemas_per_project", bounds.count)
        if sum(sizes) + len(draft.body.encode()) > bounds.size:
            raise SchemaLimitError("max_schemas_bytes_per_project", bounds.size)

    def _change(self, schema_id: SchemaId, **changes: object) -> None:
        stored = self.schemas[schema_id]
        self.schemas[schema_id] = replace(
            stored,
            record=replace(stored.record, **changes),  # type: ignore[arg-type] # its own fields
        )


def _draft_of(stored: StoredSchema) -> SchemaDraft:
    record = stored.record
    return SchemaDraft(record.name, record.description, record.strict, stored.body)


def _wanted(record: SchemaRecord) -> tuple[bool, int, str]:
    return (record.outcome.status is SchemaStatus.COMPILING, record.uses, record.id)
