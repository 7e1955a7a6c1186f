"""Leases, reports and usage in PostgreSQL, schema `scheduler`.

Rows travel as one JSON parameter and are unpacked by the server: a statement's text is the same for
one row and for five hundred, and it works without prepared statements.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import RowMapping, TextClause, text

from mesh.database import Database
from mesh.ids import KeyId, LeaseId, ProjectId, RequestId, Snapshot, WorkerId
from scheduler.journal import newest_leases
from scheduler.records import (
    Claim,
    Counts,
    Entry,
    LeaseFacts,
    LeaseRecord,
    LeaseState,
    Outcome,
    Place,
    ReportRow,
    Source,
    Tier,
    UsageRow,
)

_PARTITION_DAYS = 4
_MOST_LIVE = 100_000

_LEASE_COLUMNS = """
    lease_id text, day date, attempt bigint, state text, request_id text, project_id text,
    key_id text, snapshot text, service_tier text, prompt_tokens bigint,
    max_completion_tokens bigint, choices bigint, worker_id text, worker_address text,
    cached_prompt_tokens bigint, completion_tokens bigint, issued_at timestamptz,
    expires_at timestamptz, seen_at timestamptz"""
_REPORT_COLUMNS = """
    lease_id text, day date, attempt bigint, source text, prompt_tokens bigint,
    cached_prompt_tokens bigint, completion_tokens bigint, outcome text, served_by text,
    events jsonb, created_at timestamptz"""
_USAGE_COLUMNS = """
    lease_id text, day date, attempt bigint, request_id text, project_id text, key_id text,
    snapshot text, service_tier text, prompt_tokens bigint, cached_prompt_tokens bigint,
    completion_tokens bigint, outcome text, settled_by text, created_at timestamptz"""


def _insert(table: str, columns: str, conflict: str) -> TextClause:
    names = ", ".join(column.split()[0] for column in columns.split(","))
    return text(
        f"INSERT INTO scheduler.{table} ({names}) SELECT {names}"  # noqa: S608 - constants of this module
        f" FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS row ({columns}) {conflict}"
    )


_WRITE_LEASES = _insert(
    "leases",
    _LEASE_COLUMNS,
    """
    ON CONFLICT (lease_id, day) DO UPDATE SET
        attempt = excluded.attempt, state = excluded.state, worker_id = excluded.worker_id,
        worker_address = excluded.worker_address,
        cached_prompt_tokens = excluded.cached_prompt_tokens,
        completion_tokens = excluded.completion_tokens,
        expires_at = excluded.expires_at, seen_at = excluded.seen_at
    WHERE leases.state NOT IN ('settled', 'swept', 'released')
        AND leases.attempt <= excluded.attempt""",
)
_WRITE_REPORTS = _insert("reports", _REPORT_COLUMNS, "ON CONFLICT DO NOTHING")
_WRITE_USAGE = _insert("usage", _USAGE_COLUMNS, "ON CONFLICT DO NOTHING RETURNING lease_id")

_SELECT = """
    SELECT leases.*, reports.prompt_tokens AS reported_prompt_tokens,
        reports.cached_prompt_tokens AS reported_cached_prompt_tokens,
        reports.completion_tokens AS reported_completion_tokens, reports.outcome
    FROM scheduler.leases LEFT JOIN scheduler.reports
        ON reports.lease_id = leases.lease_id AND reports.day = leases.day
        AND reports.attempt = leases.attempt AND reports.source = 'worker'"""
_FIND_LIVE = text(
    f"{_SELECT} WHERE leases.state IN ('granted', 'unplaced', 'opened')"
    f" ORDER BY leases.issued_at LIMIT {_MOST_LIVE}"
)
_FIND = text(
    f"{_SELECT} WHERE (leases.lease_id, leases.day) IN (SELECT lease_id, day FROM"  # noqa: S608 - constants of this module
    " jsonb_to_recordset(CAST(:rows AS jsonb)) AS row (lease_id text, day date))"
)
_ENSURE_PARTITIONS = text("SELECT scheduler.ensure_partitions(:today, :days)")
_SOON_IS_ENOUGH = text("SET LOCAL synchronous_commit = off")


class PostgresLeaseStore:
    """A LeaseStore over PostgreSQL.

    Args:
        database: Connections of the role `formwork_scheduler`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, entries: Sequence[Entry]) -> Sequence[bool]:
        """Write entries in one transaction; return for each whether its usage row was new."""
        reports = [report for entry in entries for report in entry.reports]
        usage = [entry.usage for entry in entries if entry.usage is not None]
        async with self._database.transaction() as connection:
            if not any(entry.must_last for entry in entries):
                await connection.execute(_SOON_IS_ENOUGH)
            await connection.execute(_WRITE_LEASES, _rows(_lease_row, newest_leases(entries)))
            if reports:
                await connection.execute(_WRITE_REPORTS, _rows(_report_row, reports))
            charged: set[str] = set()
            if usage:
                result = await connection.execute(_WRITE_USAGE, _rows(_usage_row, usage))
                charged = set(result.scalars())
        return _first_of_each(entries, charged)

    async def find(self, leases: Sequence[LeaseFacts]) -> Sequence[LeaseRecord]:
        """Return what is known of these leases; those without a row are left out."""
        async with self._database.transaction() as connection:
            result = await connection.execute(_FIND, _rows(_key_row, leases))
            return [_record(row) for row in result.mappings()]

    async def find_live(self) -> Sequence[LeaseRecord]:
        """Return the leases that were not closed, with their reports."""
        async with self._database.transaction() as connection:
            result = await connection.execute(_FIND_LIVE)
            return [_record(row) for row in result.mappings()]

    async def ensure_partitions(self, today: date) -> None:
        """Have partitions ready for today and the days to come."""
        async with self._database.transaction() as connection:
            await connection.execute(_ENSURE_PARTITIONS, {"today": today, "days": _PARTITION_DAYS})

    async def close(self) -> None:
        """Close every connection."""
        await self._database.close()


def _first_of_each(entries: Sequence[Entry], charged: set[str]) -> list[bool]:
    """Of several entries that charge one lease, the first did."""
    left = set(charged)
    answers = []
    for entry in entries:
        lease_id = entry.lease.facts.lease_id
        is_new = entry.usage is not None and lease_id in left
        if is_new:
            left.discard(lease_id)
        answers.append(is_new)
    return answers


def _rows(make: Callable[[Any], Mapping[str, object]], items: Iterable[object]) -> dict[str, str]:
    return {"rows": json.dumps([make(item) for item in items])}


def _key_row(facts: LeaseFacts) -> Mapping[str, object]:
    return {"lease_id": facts.lease_id, "day": facts.day.isoformat()}


def _lease_row(record: LeaseRecord) -> Mapping[str, object]:
    facts, place = record.facts, record.place
    return {
        **_key_row(facts),
        **_whose(facts),
        "attempt": record.attempt,
        "state": record.state,
        "prompt_tokens": facts.prompt_tokens,
        "max_completion_tokens": facts.max_completion_tokens,
        "choices": facts.choices,
        "worker_id": place and place.worker_id,
        "worker_address": place and place.address,
        "cached_prompt_tokens": record.checkpoint.cached_prompt_tokens,
        "completion_tokens": record.checkpoint.completion_tokens,
        "issued_at": facts.issued_at.isoformat(),
        "expires_at": record.expires_at.isoformat(),
        "seen_at": record.seen_at.isoformat(),
    }


def _report_row(report: ReportRow) -> Mapping[str, object]:
    return {
        **_key_row(report.facts),
        **_claimed(report.claim),
        "source": report.claim.source,
        "served_by": report.served_by,
        "events": report.events,
        "created_at": report.created_at.isoformat(),
    }


def _usage_row(usage: UsageRow) -> Mapping[str, object]:
    return {
        **_key_row(usage.facts),
        **_whose(usage.facts),
        **_claimed(usage.claim),
        "settled_by": usage.claim.source,
        "created_at": usage.created_at.isoformat(),
    }


def _whose(facts: LeaseFacts) -> Mapping[str, object]:
    return {
        "request_id": facts.request_id,
        "project_id": facts.project_id,
        "key_id": facts.key_id,
        "snapshot": facts.snapshot,
        "service_tier": facts.tier,
    }


def _claimed(claim: Claim) -> Mapping[str, object]:
    return {
        "attempt": claim.attempt,
        "prompt_tokens": claim.counts.prompt_tokens,
        "cached_prompt_tokens": claim.counts.cached_prompt_tokens,
        "completion_tokens": claim.counts.completion_tokens,
        "outcome": claim.outcome,
    }


def _record(row: RowMapping) -> LeaseRecord:
    has_place = row["worker_id"] is not None
    return LeaseRecord(
        facts=_facts(row),
        attempt=row["attempt"],
        state=LeaseState(row["state"]),
        place=Place(WorkerId(row["worker_id"]), row["worker_address"]) if has_place else None,
        expires_at=row["expires_at"],
        seen_at=row["seen_at"],
        checkpoint=Counts(
            row["prompt_tokens"], row["cached_prompt_tokens"], row["completion_tokens"]
        ),
        report=_reported(row),
    )


def _facts(row: RowMapping) -> LeaseFacts:
    return LeaseFacts(
        lease_id=LeaseId(row["lease_id"]),
        request_id=RequestId(row["request_id"]),
        project_id=ProjectId(row["project_id"]),
        key_id=KeyId(row["key_id"]),
        snapshot=Snapshot(row["snapshot"]),
        tier=Tier(row["service_tier"]),
        prompt_tokens=row["prompt_tokens"],
        max_completion_tokens=row["max_completion_tokens"],
        choices=row["choices"],
        issued_at=row["issued_at"],
    )


def _reported(row: RowMapping) -> Claim | None:
    if row["outcome"] is None:
        return None
    counts = Counts(
        row["reported_prompt_tokens"],
        row["reported_cached_prompt_tokens"],
        row["reported_completion_tokens"],
    )
    return Claim(row["attempt"], counts, Outcome(row["outcome"]), Source.WORKER)
