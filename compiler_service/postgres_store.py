"""Indexes in PostgreSQL: tables `compiler.indexes`, `compiler.claims`, `compiler.failures`."""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from compiler_service.index_store import StoredIndex
from mesh.database import Database
from mesh.errors import FormworkError, from_status, to_status
from mesh.ids import Fingerprint, IndexId

# A use is written at most once in this time per index, so that a busy one is not a hot row.
_USE_SECONDS = 60

_FIND = text("""
    SELECT DISTINCT ON (index_id) index_id, revision, data, shortest_answer_tokens,
           compile_seconds, fingerprint, engine_version,
           last_used_at < now() - make_interval(secs => :use_seconds) AS is_due
    FROM compiler.indexes WHERE index_id = ANY(:index_ids) ORDER BY index_id, revision DESC""")
# In the order of their keys, so that nobody waits for whoever waits for them.
_USE = text("""
    UPDATE compiler.indexes AS used SET uses = used.uses + 1, last_used_at = now()
    FROM (SELECT index_id, revision FROM compiler.indexes
          WHERE (index_id, revision) IN (SELECT * FROM unnest(
              CAST(:index_ids AS text[]), CAST(:revisions AS bigint[])))
          ORDER BY index_id, revision FOR UPDATE) AS due
    WHERE used.index_id = due.index_id AND used.revision = due.revision""")
_RECORD = text("""
    INSERT INTO compiler.indexes (index_id, revision, fingerprint, engine_version, data,
        total_bytes, shortest_answer_tokens, compile_seconds)
    VALUES (:index_id, :revision, :fingerprint, :engine_version, :data,
        :total_bytes, :shortest_answer_tokens, :compile_seconds)
    ON CONFLICT (index_id, revision) DO NOTHING""")
_FIND_FAILURES = text("""
    SELECT index_id, status FROM compiler.failures
    WHERE index_id = ANY(:index_ids) AND expires_at > now()""")
_RECORD_FAILURE = text("""
    INSERT INTO compiler.failures (index_id, status, expires_at)
    VALUES (:index_id, :status, now() + make_interval(secs => :seconds))
    ON CONFLICT (index_id) DO UPDATE
    SET status = EXCLUDED.status, expires_at = EXCLUDED.expires_at""")
_CLAIM = text("""
    INSERT INTO compiler.claims AS held (index_id, owner, expires_at)
    VALUES (:index_id, :owner, now() + make_interval(secs => :seconds))
    ON CONFLICT (index_id) DO UPDATE
    SET owner = EXCLUDED.owner, expires_at = EXCLUDED.expires_at
    WHERE held.expires_at <= now() OR held.owner = EXCLUDED.owner
    RETURNING index_id""")
_FIND_CLAIM = text("""
    SELECT owner FROM compiler.claims WHERE index_id = :index_id AND expires_at > now()""")
_RELEASE = text("DELETE FROM compiler.claims WHERE index_id = :index_id AND owner = :owner")
_PRUNE_SHORT_LIVED = (
    text("DELETE FROM compiler.claims WHERE expires_at < now() - interval '1 minute'"),
    text("DELETE FROM compiler.failures WHERE expires_at < now()"),
)
_PRUNE_UNUSED = text("""
    DELETE FROM compiler.indexes
    WHERE last_used_at < now() - make_interval(secs => CASE
        WHEN engine_version = :engine_version THEN CAST(:keep_seconds AS double precision)
        ELSE CAST(:keep_seconds AS double precision) / 10 END)""")
_PRUNE_TOO_MUCH = text("""
    DELETE FROM compiler.indexes AS pruned USING (
        SELECT index_id, revision,
               sum(total_bytes) OVER (ORDER BY last_used_at DESC, index_id, revision) AS total
        FROM compiler.indexes) AS ranked
    WHERE ranked.total > :max_bytes
      AND pruned.index_id = ranked.index_id AND pruned.revision = ranked.revision""")
# A cache may lose its last writes in a crash; waiting for the disk buys nothing.
_LOSABLE = text("SET LOCAL synchronous_commit = off")


class PostgresIndexStore:
    """An IndexStore in the schema `compiler`.

    Args:
        database: Logged in as `formwork_compiler`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_index(self, index_id: IndexId) -> StoredIndex | None:
        """Return the highest revision of an index, and count a use of it."""
        async with self._database.transaction() as connection:
            return (await _find_indexes(connection, [index_id])).get(index_id)

    async def find_all(
        self, index_ids: Sequence[IndexId]
    ) -> Mapping[IndexId, StoredIndex | FormworkError]:
        """Return of each that is known its index, as `find_index`, else why it was refused."""
        async with self._database.transaction() as connection:
            indexes = await _find_indexes(connection, index_ids)
            missing = [index_id for index_id in index_ids if index_id not in indexes]
            failures = await _find_failures(connection, missing) if missing else {}
        return {**indexes, **failures}

    async def record_index(self, index: StoredIndex) -> None:
        """Keep an index; one that is kept already stays as it is."""
        async with self._database.transaction() as connection:
            await connection.execute(_LOSABLE)
            await connection.execute(
                _RECORD,
                {
                    "index_id": index.index_id,
                    "revision": index.revision,
                    "fingerprint": index.fingerprint,
                    "engine_version": index.engine_version,
                    "data": index.data,
                    "total_bytes": len(index.data),
                    "shortest_answer_tokens": index.shortest_answer_tokens,
                    "compile_seconds": index.compile_seconds,
                },
            )

    async def record_failure(
        self, index_id: IndexId, error: FormworkError, *, seconds: float
    ) -> None:
        """Remember for a while why a grammar was refused."""
        status = to_status(error).SerializeToString()
        async with self._database.transaction() as connection:
            await connection.execute(_LOSABLE)
            await connection.execute(
                _RECORD_FAILURE, {"index_id": index_id, "status": status, "seconds": seconds}
            )

    async def claim(self, index_id: IndexId, owner: str, *, seconds: float) -> bool:
        """Return whether the compile is the owner's from now on, for at most `seconds`."""
        async with self._database.transaction() as connection:
            await connection.execute(_LOSABLE)
            claimed = await connection.execute(
                _CLAIM, {"index_id": index_id, "owner": owner, "seconds": seconds}
            )
            return claimed.one_or_none() is not None

    async def find_claim(self, index_id: IndexId) -> str | None:
        """Return whose an unexpired claim is."""
        async with self._database.transaction() as connection:
            found = await connection.execute(_FIND_CLAIM, {"index_id": index_id})
            owner: str | None = found.scalar_one_or_none()
            return owner

    async def release_claim(self, index_id: IndexId, owner: str) -> None:
        """Give a claim up; without effect if it is another's."""
        async with self._database.transaction() as connection:
            await connection.execute(_LOSABLE)
            await connection.execute(_RELEASE, {"index_id": index_id, "owner": owner})

    async def prune(self, *, engine_version: str, keep_seconds: float, max_bytes: int) -> int:
        """Remove what is expired, unused or too much, and return how many indexes that were."""
        async with self._database.transaction() as connection:
            await connection.execute(_LOSABLE)
            for statement in _PRUNE_SHORT_LIVED:
                await connection.execute(statement)
            unused = await connection.execute(
                _PRUNE_UNUSED, {"engine_version": engine_version, "keep_seconds": keep_seconds}
            )
            too_much = await _prune_too_much(connection, max_bytes)
            return unused.rowcount + too_much


async def _find_indexes(
    connection: AsyncConnection, index_ids: Sequence[IndexId]
) -> dict[IndexId, StoredIndex]:
    found = await connection.execute(
        _FIND, {"index_ids": list(index_ids), "use_seconds": _USE_SECONDS}
    )
    rows = found.all()
    due = [row for row in rows if row.is_due]
    if due:
        await connection.execute(_LOSABLE)
        ids, revisions = [row.index_id for row in due], [row.revision for row in due]
        await connection.execute(_USE, {"index_ids": ids, "revisions": revisions})
    return {row.index_id: _read_index(row) for row in rows}


async def _find_failures(
    connection: AsyncConnection, index_ids: Sequence[IndexId]
) -> dict[IndexId, FormworkError]:
    rows = await connection.execute(_FIND_FAILURES, {"index_ids": list(index_ids)})
    read = {row.index_id: _read_failure(bytes(row.status)) for row in rows}
    return {index_id: error for index_id, error in read.items() if error is not None}


def _read_index(row: Row[Any]) -> StoredIndex:
    return StoredIndex(
        index_id=row.index_id,
        revision=row.revision,
        data=bytes(row.data),
        shortest_answer_tokens=row.shortest_answer_tokens,
        compile_seconds=row.compile_seconds,
        fingerprint=Fingerprint(row.fingerprint),
        engine_version=row.engine_version,
    )


async def _prune_too_much(connection: AsyncConnection, max_bytes: int) -> int:
    pruned = await connection.execute(_PRUNE_TOO_MUCH, {"max_bytes": max_bytes})
    return pruned.rowcount


def _read_failure(data: bytes) -> FormworkError | None:
    status = status_pb2.Status()
    try:
        status.ParseFromString(data)
    except DecodeError:  # a cache entry that cannot be read is no entry
        return None
    return from_status(status)
