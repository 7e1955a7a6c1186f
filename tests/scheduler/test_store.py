"""One contract, kept by PostgreSQL and by the fake that stands for it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from infra.testing import PostgresForTests
from mesh.database import Database, database_url
from mesh.errors import DatabaseUnavailableError
from mesh.ids import Snapshot, WorkerId
from scheduler.leases import Patience, close, grant, raise_attempt, renew
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
from scheduler.store import LeaseStore
from scheduler.store_postgres import PostgresLeaseStore
from scheduler.testing import FakeLeaseStore, make_facts

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AT = Place(WorkerId("w-0"), "127.0.0.1:7")
PATIENCE = Patience(*(timedelta(seconds=10),) * 4)
COUNTS = Counts(10, 4, 6)


def open_store(postgres: PostgresForTests) -> PostgresLeaseStore:
    url = database_url({"DATABASE_URL": postgres.url("scheduler")})
    return PostgresLeaseStore(Database(url, pool_size=4))


@pytest.fixture(params=["fake", "postgres"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[LeaseStore]:
    if request.param == "fake":
        yield FakeLeaseStore()
        return
    real = open_store(request.getfixturevalue("postgres"))
    yield real
    await real.close()


@pytest.fixture
async def owner(postgres: PostgresForTests) -> AsyncIterator[Database]:
    database = Database(database_url({"DATABASE_URL": postgres.url("owner")}))
    yield database
    await database.close()


def new_lease(**changes: object) -> LeaseRecord:
    return grant(make_facts(issued_at=NOW, **changes), AT, NOW, PATIENCE)


def claim_of(
    record: LeaseRecord, source: Source = Source.GATEWAY, counts: Counts = COUNTS
) -> Claim:
    return Claim(record.attempt, counts, Outcome.COMPLETED, source)


def charge(record: LeaseRecord, source: Source = Source.GATEWAY) -> Entry:
    usage = UsageRow(record.facts, claim_of(record, source), NOW)
    return Entry(close(record, LeaseState.SETTLED), usage=usage)


def said(record: LeaseRecord, source: Source, counts: Counts = COUNTS) -> Entry:
    row = ReportRow(record.facts, claim_of(record, source, counts), NOW, "cpu", ({"type": "x"},))
    return Entry(record, reports=(row,))


async def test_a_lease_is_found_as_it_was_written(store: LeaseStore) -> None:
    record = new_lease(tier=Tier.FLEX, choices=3, snapshot=Snapshot("mé'del"))
    opened = renew(record, 1, COUNTS, AT, NOW)
    await store.write([Entry(opened)])
    assert await store.find([record.facts]) == [opened]


async def test_a_lease_without_a_place_is_found_without_one(store: LeaseStore) -> None:
    unplaced = raise_attempt(new_lease(), NOW, PATIENCE)
    await store.write([Entry(unplaced)])
    (found,) = await store.find([unplaced.facts])
    assert (found.place, found.attempt, found.state) == (None, 2, LeaseState.UNPLACED)


async def test_unknown_leases_are_left_out(store: LeaseStore) -> None:
    known, unknown = new_lease(), new_lease()
    await store.write([Entry(known)])
    found = await store.find([known.facts, unknown.facts])
    assert [record.facts.lease_id for record in found] == [known.facts.lease_id]
    assert await store.find([]) == []


async def test_a_usage_row_is_new_once(store: LeaseStore) -> None:
    record = new_lease()
    assert await store.write([charge(record)]) == [True]
    assert await store.write([charge(record, Source.SWEEPER)]) == [False]


async def test_of_two_charges_written_together_the_first_counts(store: LeaseStore) -> None:
    one, other = new_lease(), new_lease()
    entries = [charge(one), Entry(other), charge(one, Source.WORKER), charge(other)]
    assert await store.write(entries) == [True, False, False, True]


async def test_live_leases_are_found_with_the_report_of_their_attempt(store: LeaseStore) -> None:
    quiet, reported, settled = new_lease(), new_lease(), new_lease()
    reported = renew(reported, 1, COUNTS, AT, NOW)
    await store.write([Entry(quiet), said(reported, Source.WORKER), charge(settled)])
    live = {record.facts.lease_id: record for record in await store.find_live()}
    assert live[quiet.facts.lease_id].report is None
    assert live[reported.facts.lease_id].report == claim_of(reported, Source.WORKER)
    assert settled.facts.lease_id not in live


async def test_neither_a_gateways_claim_nor_an_older_attempts_report_is_the_report(
    store: LeaseStore,
) -> None:
    first = new_lease()
    second = raise_attempt(first, NOW, PATIENCE)
    await store.write([said(first, Source.WORKER), said(first, Source.GATEWAY), Entry(second)])
    (found,) = await store.find([first.facts])
    assert (found.attempt, found.report) == (2, None)


async def test_the_first_report_of_an_attempt_stays(store: LeaseStore) -> None:
    record = new_lease()
    await store.write([said(record, Source.WORKER, Counts(10, 0, 1))])
    await store.write([said(record, Source.WORKER, Counts(10, 0, 2))])
    (found,) = await store.find([record.facts])
    assert found.report == claim_of(record, Source.WORKER, Counts(10, 0, 1))


async def test_a_final_state_and_a_higher_attempt_are_never_left(store: LeaseStore) -> None:
    first = new_lease()
    second = raise_attempt(first, NOW, PATIENCE)
    await store.write([Entry(second)])
    await store.write([Entry(first)])
    (found,) = await store.find([first.facts])
    assert found.attempt == 2
    await store.write([charge(second)])
    await store.write([Entry(renew(second, 2, COUNTS, AT, NOW))])
    (found,) = await store.find([first.facts])
    assert found.state is LeaseState.SETTLED


async def test_an_expired_lease_may_still_be_charged(store: LeaseStore) -> None:
    record = new_lease()
    await store.write([Entry(close(record, LeaseState.EXPIRED))])
    assert await store.write([charge(record)]) == [True]
    (found,) = await store.find([record.facts])
    assert found.state is LeaseState.SETTLED


async def test_of_one_lease_twice_in_a_batch_the_later_record_stays(store: LeaseStore) -> None:
    record = new_lease()
    await store.write([Entry(record), Entry(renew(record, 1, COUNTS, AT, NOW))])
    (found,) = await store.find([record.facts])
    assert found.state is LeaseState.OPENED


async def test_a_lease_issued_around_midnight_is_found_wherever_the_clock_stands(
    store: LeaseStore,
) -> None:
    late = NOW.replace(hour=23, minute=59, second=59, microsecond=999_999)
    record = grant(make_facts(issued_at=late), AT, late, PATIENCE)
    await store.write([Entry(record)])
    assert await store.write([charge(record)]) == [True]
    (found,) = await store.find([record.facts])
    assert await store.write([charge(found)]) == [False]


# -- PostgreSQL only --------------------------------------------------------------------------


async def test_partitions_are_made_ahead_once(postgres: PostgresForTests, owner: Database) -> None:
    store = open_store(postgres)
    day = date(2027, 5, 1)
    await store.ensure_partitions(day)
    await store.ensure_partitions(day)
    issued = datetime(2027, 5, 2, tzinfo=UTC)
    record = grant(make_facts(issued_at=issued), AT, issued, PATIENCE)
    await store.write([charge(record)])
    async with owner.transaction() as connection:
        query = text("SELECT tableoid::regclass::text FROM scheduler.usage WHERE lease_id = :id")
        parts = (await connection.execute(query, {"id": record.facts.lease_id})).scalars().all()
    assert parts == ["scheduler.usage_20270502"]
    await store.close()


async def test_a_day_that_is_in_the_default_partition_stays_there(
    postgres: PostgresForTests,
) -> None:
    store = open_store(postgres)
    issued = datetime(2027, 7, 1, tzinfo=UTC)
    record = grant(make_facts(issued_at=issued), AT, issued, PATIENCE)
    await store.write([charge(record)])
    await store.ensure_partitions(issued.date())
    assert await store.write([charge(record)]) == [False]
    await store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE scheduler.usage SET completion_tokens = 0",
        "DELETE FROM scheduler.usage",
        "DELETE FROM scheduler.reports",
        "UPDATE scheduler.reports SET completion_tokens = 0",
        "DELETE FROM scheduler.leases",
        "TRUNCATE scheduler.usage",
        "CREATE TABLE scheduler.mine ()",
        "DROP TABLE scheduler.usage_default",
        "SELECT * FROM gateway.api_keys",
    ],
)
async def test_the_schedulers_role_may_not(postgres: PostgresForTests, statement: str) -> None:
    database = Database(database_url({"DATABASE_URL": postgres.url("scheduler")}))
    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
        async with database.transaction() as connection:
            await connection.execute(text(statement))
    await database.close()


@pytest.mark.parametrize("role", ["gateway", "compiler"])
async def test_other_roles_may_not_have_partitions_made(
    postgres: PostgresForTests, role: str
) -> None:
    database = Database(database_url({"DATABASE_URL": postgres.url(role)}))
    with pytest.raises(DBAPIError, match="permission denied"):
        async with database.transaction() as connection:
            await connection.execute(
                text("SELECT scheduler.ensure_partitions(DATE '2027-01-01', 1)")
            )
    await database.close()


async def test_a_database_that_is_away_is_named() -> None:
    store = PostgresLeaseStore(Database("postgresql+psycopg://x:y@127.0.0.1:1/none"))
    with pytest.raises(DatabaseUnavailableError):
        await store.find_live()
    await store.close()


async def test_many_rows_are_one_batch(postgres: PostgresForTests) -> None:
    store = open_store(postgres)
    records = [new_lease() for _ in range(500)]
    assert await store.write([charge(record) for record in records]) == [True] * 500
    facts: list[LeaseFacts] = [record.facts for record in records]
    assert len(await store.find(facts)) == 500
    assert all(record.is_final for record in await store.find(facts))
    await store.close()


def test_a_lease_belongs_to_the_day_it_was_issued_on_in_utc() -> None:
    tokyo = datetime.fromisoformat("2026-03-02T08:00:00+09:00")
    assert replace(make_facts(), issued_at=tokyo).day == date(2026, 3, 1)


async def test_a_final_row_stays_when_a_report_comes_in_the_same_batch(store: LeaseStore) -> None:
    facts = make_facts()
    opened = renew(grant(facts, AT, NOW, PATIENCE), 1, COUNTS, AT, NOW)
    settled = close(opened, LeaseState.SETTLED)
    await store.write([Entry(settled), Entry(opened)])
    (found,) = await store.find([facts])
    assert found.state is LeaseState.SETTLED
