"""A store of registered schemas in memory: what the one in PostgreSQL promises, it does too."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from gateway.errors import SchemaLimitError
from gateway.pages import Page
from gateway.schemas import (
    Failures,
    Maker,
    Outcome,
    SchemaBounds,
    SchemaDraft,
    SchemaRecord,
    SchemaStatus,
    StoredSchema,
    WantedBounds,
    WantedSchema,
    new_schema_id,
)
from mesh.clock import Clock, SystemClock
from mesh.errors import DatabaseUnavailableError
from mesh.ids import ProjectId, SchemaId


class MemorySchemaStore:
    """Schemas in memory; `is_down` plays a database that is away, `gate` holds writes of uses."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._failures: dict[tuple[SchemaId, Maker], tuple[int, float]] = {}
        self.schemas: dict[SchemaId, StoredSchema] = {}
        self.dialects: dict[ProjectId, str] = {}
        self.lookups = 0
        self.writes_of_uses = 0
        self.is_down = False
        self.gate = asyncio.Event()
        self.gate.set()
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
        await self.gate.wait()
        self.writes_of_uses += 1
        for schema_id in uses.keys() & self.schemas.keys():
            record = self.schemas[schema_id].record
            self._change(schema_id, uses=record.uses + uses[schema_id])

    async def list_wanted(
        self, bounds: WantedBounds, makers: Collection[Maker]
    ) -> Sequence[WantedSchema]:
        """Return what should be compiled ahead."""
        self._check_up()
        kinds: tuple[list[WantedSchema], list[WantedSchema]] = [], []
        for stored in self.schemas.values():
            failures = self._failures_of(stored.record.id)
            wanted = WantedSchema(stored.record, stored.dialect, failures)
            if not makers or not all(map(wanted.waits_for, makers)):
                is_used = stored.record.outcome.status is not SchemaStatus.COMPILING
                kinds[is_used].append(wanted)
        unfinished, used = (_by_turns(kind, bounds.per_project) for kind in kinds)
        return [*unfinished[: bounds.unfinished], *used[: bounds.most_used]]

    async def record_failures(
        self, schema_id: SchemaId, maker: Maker, times: int, wait_seconds: float = 0.0
    ) -> None:
        """Keep how often a schema failed with a maker, and how long it waits."""
        self._check_up()
        self._failures.pop((schema_id, maker), None)
        if times and schema_id in self.schemas:
            self._failures[schema_id, maker] = times, self._clock.monotonic() + wait_seconds

    def failed_times(self, schema_id: SchemaId, maker: Maker) -> int:
        """Return how often a schema has failed with a maker."""
        return self._failures.get((schema_id, maker), (0, 0.0))[0]

    def _failures_of(self, schema_id: SchemaId) -> dict[Maker, Failures]:
        now = self._clock.monotonic()
        return {
            maker: Failures(times, until > now)
            for (failed, maker), (times, until) in self._failures.items()
            if failed == schema_id
        }

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


def _by_turns(wanted: list[WantedSchema], per_project: int) -> list[WantedSchema]:
    """Return the most used of every project, then every one's second, and so on."""
    wanted = sorted(wanted, key=lambda one: (one.record.uses, one.record.id), reverse=True)
    counted: Counter[ProjectId] = Counter()
    placed: list[tuple[int, WantedSchema]] = []
    for one in wanted:
        counted[one.record.project_id] += 1
        placed.append((counted[one.record.project_id], one))
    first = [(place, one) for place, one in placed if place <= per_project]
    return [one for _, one in sorted(first, key=lambda pair: pair[0])]
