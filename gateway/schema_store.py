"""Registered schemas in PostgreSQL."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any
from weakref import WeakValueDictionary

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import ProjectBusyError, SchemaLimitError
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
from mesh.database import Database
from mesh.ids import ProjectId, SchemaId

_TURN_SECONDS = 5.0  # as long as the database lets one statement wait
_COLUMNS = (
    "s.id, s.project_id, s.name, s.version, s.description, s.strict, s.size, s.status, s.error,"
    " s.compile_seconds, s.uses, s.created_at"
)
# Whoever changes what a project keeps waits for whoever does so already.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('gateway.schemas/' || :project, 0))")
_NEWEST = text(f"""
SELECT {_COLUMNS}, s.body = :body AND s.strict = :strict
       AND s.description IS NOT DISTINCT FROM :description AS is_same
FROM gateway.schemas s WHERE s.project_id = :project AND s.name = :name
ORDER BY s.version DESC LIMIT 1
""")  # noqa: S608 - columns of our own
_KEPT = text("""
SELECT count(*) AS schemas, coalesce(sum(size), 0) AS bytes FROM gateway.schemas
WHERE project_id = :project
""")
_NEXT_VERSION = text("""
INSERT INTO gateway.schema_names AS n (project_id, name, last_version) VALUES (:project, :name, 1)
ON CONFLICT (project_id, name) DO UPDATE SET last_version = n.last_version + 1
RETURNING last_version
""")
_INSERT = text(f"""
INSERT INTO gateway.schemas AS s
    (id, project_id, name, version, description, strict, body, size, status)
VALUES (:id, :project, :name, :version, :description, :strict, :body, :size, 'compiling')
RETURNING {_COLUMNS}
""")  # noqa: S608 - columns of our own
_FIND = text(f"""
SELECT {_COLUMNS}, s.body, p.dialect
FROM gateway.schemas s JOIN gateway.projects p ON p.id = s.project_id
WHERE s.project_id = :project AND s.id = :id
""")  # noqa: S608 - columns of our own
_LIST = f"""
SELECT {_COLUMNS} FROM gateway.schemas s
WHERE s.project_id = :project
  AND (CAST(:name AS text) IS NULL OR s.name = :name)
  AND (CAST(:after AS text) IS NULL OR s.id %s :after)
ORDER BY s.id %s LIMIT :rows
"""  # noqa: S608 - columns of our own
_LIST_BY_ORDER = {False: text(_LIST % ("<", "DESC")), True: text(_LIST % (">", "ASC"))}
_DELETE = text(
    "DELETE FROM gateway.schemas WHERE project_id = :project AND id = :id RETURNING name"
)
_DELETE_NAME = text("""
DELETE FROM gateway.schema_names n WHERE n.project_id = :project AND n.name = :name
AND NOT EXISTS (
    SELECT 1 FROM gateway.schemas s WHERE s.project_id = :project AND s.name = :name
)
""")
_RECORD_OUTCOME = text("""
UPDATE gateway.schemas SET status = :status, error = CAST(:error AS jsonb),
    compile_seconds = coalesce(compile_seconds, :seconds)
WHERE id = :id
""")
# Rows are locked in one order, so that two gateways that count the same schemas do not deadlock.
_RECORD_USES = text("""
WITH counted AS (
    SELECT s.id, u.uses
    FROM unnest(CAST(:ids AS text[]), CAST(:uses AS bigint[])) AS u (id, uses)
    JOIN gateway.schemas s ON s.id = u.id
    ORDER BY s.id FOR UPDATE OF s
)
UPDATE gateway.schemas s SET uses = s.uses + counted.uses FROM counted WHERE s.id = counted.id
""")
# The lock keeps a schema that is being removed from being removed in between.
_RECORD_FAILURES = text("""
INSERT INTO gateway.schema_failures (schema_id, model, engine, times, retry_at)
SELECT s.id, :model, :engine, :times, now() + make_interval(secs => :seconds)
FROM gateway.schemas s WHERE s.id = :id FOR KEY SHARE OF s
ON CONFLICT (schema_id, model, engine)
DO UPDATE SET times = excluded.times, retry_at = excluded.retry_at
""")
# With the maker: it did not fail. Makers that nobody tries any more leave failures behind, too.
_FORGET_FAILURES = text("""
DELETE FROM gateway.schema_failures
WHERE schema_id = :id
  AND (:times = 0 AND model = :model AND engine = :engine OR retry_at < now() - interval '1 day')
""")
# Project by project: everybody's first before anybody's second.
_WANTED = text(f"""
SELECT * FROM (
    SELECT {_COLUMNS}, p.dialect, row_number() OVER (
        PARTITION BY s.project_id ORDER BY s.uses DESC, s.id DESC
    ) AS place, (
        SELECT jsonb_agg(jsonb_build_array(f.model, f.engine, f.times, f.retry_at > now()))
        FROM gateway.schema_failures f
        WHERE f.schema_id = s.id AND f.model = ANY (CAST(:models AS text[]))
    ) AS failures
    FROM gateway.schemas s JOIN gateway.projects p ON p.id = s.project_id
    WHERE p.archived_at IS NULL AND (s.status = 'compiling') = :is_unfinished
      AND (cardinality(CAST(:models AS text[])) = 0 OR EXISTS (
          SELECT 1
          FROM unnest(CAST(:models AS text[]), CAST(:engines AS text[])) AS m (model, engine)
          WHERE NOT EXISTS (
              SELECT 1 FROM gateway.schema_failures f
              WHERE f.schema_id = s.id AND f.model = m.model AND f.retry_at > now()
                AND m.engine IN ('', f.engine)
          )
      ))
) AS wanted
WHERE place <= :per_project ORDER BY place, uses DESC, id DESC LIMIT :rows
""")  # noqa: S608 - columns of our own


class PostgresSchemaStore:
    """Schemas in the schema `gateway`.

    Args:
        database: A pool of its own: changes wait in it for those of other replicas.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turns: WeakValueDictionary[ProjectId, asyncio.Lock] = WeakValueDictionary()

    async def add_schema(
        self, project_id: ProjectId, draft: SchemaDraft, bounds: SchemaBounds
    ) -> tuple[SchemaRecord, bool]:
        """Return the draft as the next version of its name, or the same one that is there."""
        values: dict[str, Any] = {**asdict(draft), "project": project_id}
        async with self._change(project_id) as connection:
            newest = (await connection.execute(_NEWEST, values)).one_or_none()
            if newest is not None and newest.is_same:
                return _record(newest), False
            values["size"] = len(draft.body.encode())
            await _check_bounds(connection, values, bounds)
            values["version"] = (await connection.execute(_NEXT_VERSION, values)).scalar_one()
            values["id"] = new_schema_id()
            return _record((await connection.execute(_INSERT, values)).one()), True

    async def find_schema(self, project_id: ProjectId, schema_id: SchemaId) -> StoredSchema | None:
        """Return a project's schema."""
        async with self._database.transaction() as connection:
            values = {"project": project_id, "id": schema_id}
            row = (await connection.execute(_FIND, values)).one_or_none()
        return None if row is None else StoredSchema(_record(row), row.body, row.dialect)

    async def list_schemas(
        self, project_id: ProjectId, page: Page, name: str | None
    ) -> Sequence[SchemaRecord]:
        """Return one more than the page has, where there are more."""
        values = {"project": project_id, "name": name, "after": page.after, "rows": page.limit + 1}
        async with self._database.transaction() as connection:
            rows = await connection.execute(_LIST_BY_ORDER[page.is_ascending], values)
            return [_record(row) for row in rows]

    async def remove_schema(self, project_id: ProjectId, schema_id: SchemaId) -> bool:
        """Remove a project's schema; False where there is none."""
        values = {"project": project_id, "id": schema_id}
        async with self._change(project_id) as connection:
            name = (await connection.execute(_DELETE, values)).scalar_one_or_none()
            if name is not None:
                await connection.execute(_DELETE_NAME, {**values, "name": name})
        return name is not None

    async def record_outcome(self, schema_id: SchemaId, outcome: Outcome) -> None:
        """Keep what became of compiling."""
        values = {
            "id": schema_id,
            "status": outcome.status.value,
            "error": None if outcome.error is None else json.dumps(dict(outcome.error)),
            "seconds": outcome.seconds,
        }
        async with self._database.transaction() as connection:
            await connection.execute(_RECORD_OUTCOME, values)

    async def record_uses(self, uses: Mapping[SchemaId, int]) -> None:
        """Add to the uses of schemas, in one statement."""
        values = {"ids": list(uses), "uses": list(uses.values())}
        async with self._database.transaction() as connection:
            await connection.execute(_RECORD_USES, values)

    async def list_wanted(
        self, bounds: WantedBounds, makers: Collection[Maker]
    ) -> Sequence[WantedSchema]:
        """Return what should be compiled ahead."""
        columns = {
            "models": [maker.model for maker in makers],
            "engines": [maker.engine for maker in makers],
        }
        kinds = ((True, bounds.unfinished), (False, bounds.most_used))
        found: list[WantedSchema] = []
        async with self._database.transaction() as connection:
            for is_unfinished, most in kinds:
                values = {"is_unfinished": is_unfinished, "rows": most, **columns}
                values["per_project"] = bounds.per_project
                rows = await connection.execute(_WANTED, values)
                found += [WantedSchema(_record(row), row.dialect, _failures(row)) for row in rows]
        return found

    async def record_failures(
        self, schema_id: SchemaId, maker: Maker, times: int, wait_seconds: float = 0.0
    ) -> None:
        """Keep how often a schema failed with a maker, and how long it waits."""
        values = {"id": schema_id, "times": times, "seconds": wait_seconds, **maker._asdict()}
        async with self._database.transaction() as connection:
            await connection.execute(_FORGET_FAILURES, values)
            if times:
                await connection.execute(_RECORD_FAILURES, values)

    @asynccontextmanager
    async def _change(self, project_id: ProjectId) -> AsyncIterator[AsyncConnection]:
        """Yield a transaction in which nobody else changes what a project keeps.

        A project waits for itself before it takes a connection: it holds one at most.

        Raises:
            ProjectBusyError: Too many of its changes are before this one.
            DatabaseUnavailableError: As `Database.transaction`.
        """
        async with (
            _turn(self._turns.setdefault(project_id, asyncio.Lock())),
            self._database.transaction() as connection,
        ):
            await connection.execute(_LOCK, {"project": project_id})
            yield connection


@asynccontextmanager
async def _turn(lock: asyncio.Lock) -> AsyncIterator[None]:
    """Hold a project's lock for the block, if it is to be had in time."""
    try:
        async with asyncio.timeout(_TURN_SECONDS):
            await lock.acquire()
    except TimeoutError as error:
        raise ProjectBusyError(
            "Rate limit reached: your project registers and removes more schemas than can be kept "
            "in time.",
            retry_after_seconds=_TURN_SECONDS,
        ) from error
    try:
        yield
    finally:
        lock.release()


async def _check_bounds(
    connection: AsyncConnection, values: Mapping[str, Any], bounds: SchemaBounds
) -> None:
    kept = (await connection.execute(_KEPT, values)).one()
    if kept.schemas >= bounds.count:
        raise SchemaLimitError("max_schemas_per_project", bounds.count)
    if kept.bytes + values["size"] > bounds.size:
        raise SchemaLimitError("max_schemas_bytes_per_project", bounds.size)


def _failures(row: Any) -> dict[Maker, Failures]:  # noqa: ANN401 - a row
    return {
        Maker(model, engine): Failures(times, is_waiting)
        for model, engine, times, is_waiting in row.failures or ()
    }


def _record(row: Any) -> SchemaRecord:  # noqa: ANN401 - a row
    return SchemaRecord(
        SchemaId(row.id),
        ProjectId(row.project_id),
        row.name,
        row.version,
        row.description,
        row.strict,
        row.size,
        Outcome(SchemaStatus(row.status), row.compile_seconds, row.error),
        row.uses,
        row.created_at,
    )
