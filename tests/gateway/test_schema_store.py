"""What a SchemaStore promises, kept by the one in PostgreSQL and by the fake alike."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from gateway.errors import ProjectBusyError, SchemaLimitError
from gateway.pages import Page
from gateway.schema_store import _LOCK, PostgresSchemaStore
from gateway.schemas import (
    Failures,
    Maker,
    ModelKind,
    Outcome,
    SchemaBounds,
    SchemaDraft,
    SchemaStatus,
    SchemaStore,
    WantedBounds,
    WantedSchema,
    is_schema_id,
    new_schema_id,
)
from gateway.store import PostgresKeyStore
from gateway.testing_schemas import MemorySchemaStore
from infra.testing import PostgresForTests
from mesh.database import Database, database_url
from mesh.errors import DatabaseUnavailableError
from mesh.ids import ProjectId, SchemaId, new_id

BOUNDS = SchemaBounds(count=5, size=1000)
MAKER, OTHER = Maker(ModelKind("m"), "1"), ModelKind("other")
BODY = '{"type": "object", "title": "Größe"}'


class Fixture:
    """A store, and a way to have a project."""

    def __init__(
        self, store: SchemaStore, make_project: Callable[[], Awaitable[ProjectId]]
    ) -> None:
        self.store = store
        self.make_project = make_project


async def name_project() -> ProjectId:
    return ProjectId(new_id("proj"))


@pytest.fixture(params=["fake", "postgres"])
async def kept(request: pytest.FixtureRequest) -> AsyncIterator[Fixture]:
    if request.param == "fake":
        yield Fixture(MemorySchemaStore(), name_project)
        return
    postgres: PostgresForTests = request.getfixturevalue("postgres")
    database = Database(database_url({"DATABASE_URL": postgres.url("gateway")}))
    keys = PostgresKeyStore(database)
    yield Fixture(
        PostgresSchemaStore(database), lambda: keys.ensure_project("default", new_id("p"))
    )
    await database.close()


def draft(name: str = "person", body: str = BODY, *, strict: bool = True) -> SchemaDraft:
    return SchemaDraft(name, "A person.", strict, body)


async def test_a_schema_is_found_as_it_was_written(kept: Fixture) -> None:
    project = await kept.make_project()
    record, is_new = await kept.store.add_schema(project, draft(), BOUNDS)
    assert is_new
    assert is_schema_id(record.id)
    assert (record.name, record.version, record.strict) == ("person", 1, True)
    assert record.size == len(BODY.encode())
    assert record.outcome == Outcome(SchemaStatus.COMPILING)
    stored = await kept.store.find_schema(project, record.id)
    assert stored is not None
    assert (stored.record, stored.body, stored.dialect) == (record, BODY, "strict")


async def test_another_body_is_the_next_version_and_the_same_one_is_not(kept: Fixture) -> None:
    project = await kept.make_project()
    first, _ = await kept.store.add_schema(project, draft(), BOUNDS)
    same, is_new = await kept.store.add_schema(project, draft(), BOUNDS)
    assert (same, is_new) == (first, False)
    other, is_new = await kept.store.add_schema(project, draft(strict=False), BOUNDS)
    assert (other.version, is_new) == (2, True)
    # Only the newest version counts: going back is a version too.
    back, is_new = await kept.store.add_schema(project, draft(), BOUNDS)
    assert (back.version, is_new) == (3, True)


async def test_versions_that_are_made_at_once_have_numbers_of_their_own(kept: Fixture) -> None:
    project = await kept.make_project()
    bodies = [f'{{"title": "{number}"}}' for number in range(4)]
    added = await asyncio.gather(
        *(kept.store.add_schema(project, draft(body=body), BOUNDS) for body in bodies)
    )
    assert sorted(record.version for record, _ in added) == [1, 2, 3, 4]


async def test_a_number_is_not_given_again_while_the_name_is_used(kept: Fixture) -> None:
    project = await kept.make_project()
    first, _ = await kept.store.add_schema(project, draft(body="{}"), BOUNDS)
    second, _ = await kept.store.add_schema(project, draft(body="[]"), BOUNDS)
    assert await kept.store.remove_schema(project, second.id)
    third, _ = await kept.store.add_schema(project, draft(body="[]"), BOUNDS)
    assert third.version == 3
    for record in (first, third):
        assert await kept.store.remove_schema(project, record.id)
    again, _ = await kept.store.add_schema(project, draft(), BOUNDS)
    assert again.version == 1


async def test_another_projects_schema_is_not_there(kept: Fixture) -> None:
    mine, other = await kept.make_project(), await kept.make_project()
    record, _ = await kept.store.add_schema(mine, draft(), BOUNDS)
    assert await kept.store.find_schema(other, record.id) is None
    assert not await kept.store.remove_schema(other, record.id)
    assert not await kept.store.list_schemas(other, Page(), None)
    assert await kept.store.find_schema(mine, record.id) is not None
    assert await kept.store.remove_schema(mine, record.id)
    assert not await kept.store.remove_schema(mine, record.id)


async def test_a_project_keeps_so_many_and_so_much(kept: Fixture) -> None:
    project = await kept.make_project()
    for number in range(2):
        await kept.store.add_schema(project, draft(f"n{number}"), SchemaBounds(2, 1000))
    with pytest.raises(SchemaLimitError) as caught:
        await kept.store.add_schema(project, draft("more"), SchemaBounds(2, 1000))
    assert caught.value.metadata["limit"] == "max_schemas_per_project"
    size = 3 * len(BODY.encode())
    with pytest.raises(SchemaLimitError) as caught:
        await kept.store.add_schema(project, draft("more"), SchemaBounds(9, size - 1))
    assert caught.value.metadata["limit"] == "max_schemas_bytes_per_project"
    record, _ = await kept.store.add_schema(project, draft("more"), SchemaBounds(9, size))
    assert record.version == 1


async def test_pages_follow_each_other_in_both_directions(kept: Fixture) -> None:
    project = await kept.make_project()
    made = [
        (await kept.store.add_schema(project, draft(name), BOUNDS))[0].id
        for name in ("a", "b", "a2", "b2")
    ]
    made.sort()  # ids of one millisecond are in any order
    for is_ascending, wanted in ((True, made), (False, made[::-1])):
        first = await kept.store.list_schemas(project, Page(2, None, is_ascending), None)
        assert [record.id for record in first] == wanted[:3]
        page = Page(2, first[1].id, is_ascending)
        second = await kept.store.list_schemas(project, page, None)
        assert [record.id for record in second] == wanted[2:]
    [only] = await kept.store.list_schemas(project, Page(), "a2")
    assert only.name == "a2"


async def test_what_became_of_it_is_kept_and_the_first_time_it_took_stays(kept: Fixture) -> None:
    project = await kept.make_project()
    record, _ = await kept.store.add_schema(project, draft(), BOUNDS)
    failed = Outcome(SchemaStatus.FAILED, None, {"code": "invalid_json_schema", "message": "No."})
    for outcome, expected in (
        (Outcome(SchemaStatus.READY, 0.5), Outcome(SchemaStatus.READY, 0.5)),
        (failed, Outcome(SchemaStatus.FAILED, 0.5, failed.error)),
        (Outcome(SchemaStatus.READY, 0.1), Outcome(SchemaStatus.READY, 0.5)),
    ):
        await kept.store.record_outcome(record.id, outcome)
        stored = await kept.store.find_schema(project, record.id)
        assert stored is not None
        assert stored.record.outcome == expected
    await kept.store.record_outcome(new_schema_id(), failed)


async def test_uses_add_up_and_decide_what_is_wanted(kept: Fixture) -> None:
    project = await kept.make_project()
    rarely, often, gone = [
        (await kept.store.add_schema(project, draft(name), BOUNDS))[0].id for name in "abc"
    ]
    for schema_id in (rarely, often):
        await kept.store.record_outcome(schema_id, Outcome(SchemaStatus.READY, 0.1))
    await kept.store.remove_schema(project, gone)
    await kept.store.record_uses({often: 10**6, gone: 3})
    await kept.store.record_uses({rarely: 1, often: 1})
    stored = await kept.store.find_schema(project, often)
    assert stored is not None
    assert stored.record.uses == 10**6 + 1
    assert await wanted_of(kept, project) == [often, rarely]
    unfinished, _ = await kept.store.add_schema(project, draft("d"), BOUNDS)
    assert await wanted_of(kept, project) == [unfinished.id, often, rarely]
    assert await wanted_of(kept, project, most_used=0) == [unfinished.id]
    assert await wanted_of(kept, project, per_project=1) == [unfinished.id, often]


async def wanted_of(kept: Fixture, project: ProjectId, **bounds: int) -> list[SchemaId]:
    every = {"unfinished": 1000, "most_used": 1000, "per_project": 1000, **bounds}
    wanted = await kept.store.list_wanted(WantedBounds(**every), [MAKER])
    return [one.record.id for one in wanted if one.record.project_id == project]


async def test_what_is_wanted_says_all_but_the_body(kept: Fixture) -> None:
    project = await kept.make_project()
    record, _ = await kept.store.add_schema(project, draft(), BOUNDS)
    wanted = await kept.store.list_wanted(WantedBounds(1000, 0, 1000), [MAKER])
    [mine] = [one for one in wanted if one.record.project_id == project]
    assert mine.with_body(BODY) == await kept.store.find_schema(project, record.id)


@pytest.mark.parametrize(
    ("makers", "wait_seconds", "is_wanted"),
    [
        ([MAKER], 3600.0, False),
        ([MAKER._replace(engine="2")], 3600.0, True),
        ([MAKER._replace(engine="")], 3600.0, False),
        ([MAKER._replace(model=OTHER)], 3600.0, True),
        ([MAKER, MAKER._replace(model=OTHER)], 3600.0, True),
        ([], 3600.0, True),
        ([MAKER], 0.0, True),
    ],
)
async def test_what_failed_waits_for_its_time_or_for_another_maker(
    kept: Fixture,
    makers: list[Maker],
    wait_seconds: float,
    is_wanted: bool,  # noqa: FBT001 - a parameter of the table
) -> None:
    project = await kept.make_project()
    record, _ = await kept.store.add_schema(project, draft(), BOUNDS)
    await kept.store.record_failures(record.id, MAKER, 2, wait_seconds)
    wanted = await kept.store.list_wanted(WantedBounds(1000, 0, 1000), makers)
    assert (record.id in [one.record.id for one in wanted]) == is_wanted
    await kept.store.record_failures(record.id, MAKER, 0)
    assert await wanted_of(kept, project) == [record.id]


async def test_failures_are_those_of_one_model_and_one_engine(kept: Fixture) -> None:
    project = await kept.make_project()
    record, _ = await kept.store.add_schema(project, draft(), BOUNDS)
    newer, other = MAKER._replace(engine="2"), MAKER._replace(model=OTHER)
    for maker, times, seconds in ((MAKER, 1, 0), (other, 2, 3600), (newer, 3, 0), (newer, 4, 3600)):
        await kept.store.record_failures(record.id, maker, times, seconds)
    expected = {
        MAKER: Failures(1, is_waiting=False),
        other: Failures(2, is_waiting=True),
        newer: Failures(4, is_waiting=True),
    }
    assert (await wanted_one(kept, project)).failures == expected
    await kept.store.record_failures(record.id, newer, 0)
    del expected[newer]
    assert (await wanted_one(kept, project)).failures == expected
    await kept.store.remove_schema(project, record.id)
    await kept.store.record_failures(record.id, MAKER, 1, 0.0)
    assert await wanted_of(kept, project) == []


async def wanted_one(kept: Fixture, project: ProjectId) -> WantedSchema:
    """Return what is wanted of a project that has one schema."""
    makers = [MAKER, MAKER._replace(model=OTHER)]
    wanted = await kept.store.list_wanted(WantedBounds(1000, 0, 1000), makers)
    [mine] = [one for one in wanted if one.record.project_id == project]
    return mine


async def test_a_project_does_not_crowd_out_what_others_want(kept: Fixture) -> None:
    busy, quiet = await kept.make_project(), await kept.make_project()
    for project, uses in ((busy, 10**9), (quiet, 10**8)):
        for number in range(BOUNDS.count):
            record, _ = await kept.store.add_schema(project, draft(f"n{number}"), BOUNDS)
            await kept.store.record_outcome(record.id, Outcome(SchemaStatus.READY, 0.1))
            await kept.store.record_uses({record.id: uses})
    wanted = await kept.store.list_wanted(WantedBounds(0, 2, 1000), [MAKER])
    assert [one.record.project_id for one in wanted] == [busy, quiet]


async def test_counting_at_once_does_not_deadlock(kept: Fixture) -> None:
    project = await kept.make_project()
    ids = [(await kept.store.add_schema(project, draft(n), BOUNDS))[0].id for n in "abcd"]
    orders = [ids, ids[::-1]] * 4
    await asyncio.gather(*(kept.store.record_uses(dict.fromkeys(order, 1)) for order in orders))
    stored = await kept.store.find_schema(project, ids[0])
    assert stored is not None
    assert stored.record.uses == 8


@asynccontextmanager
async def changing_elsewhere(database: Database, project: ProjectId) -> AsyncIterator[None]:
    """Play a replica that changes what a project keeps, and takes its time."""
    async with database.transaction() as connection:
        await connection.execute(_LOCK, {"project": project})
        yield


async def test_a_project_that_waits_for_another_replica_holds_one_connection(
    postgres: PostgresForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = database_url({"DATABASE_URL": postgres.url("gateway")})
    there, here = Database(url), Database(url, pool_size=2, pool_seconds=0.2)
    keys, store = PostgresKeyStore(there), PostgresSchemaStore(here)
    busy = await keys.ensure_project("default", new_id("p"))
    other = await keys.ensure_project("default", new_id("p"))
    async with changing_elsewhere(there, busy):
        drafts = [draft(f"n{number}") for number in range(4)]
        adding = [asyncio.create_task(store.add_schema(busy, one, BOUNDS)) for one in drafts]
        await store.add_schema(other, draft(), BOUNDS)
        assert not any(task.done() for task in adding)
        monkeypatch.setattr("gateway.schema_store._TURN_SECONDS", 0.0)
        with pytest.raises(ProjectBusyError):
            await store.add_schema(busy, draft("more"), BOUNDS)
    await asyncio.gather(*adding)
    assert len(await store.list_schemas(busy, Page(), None)) == 4
    for database in (there, here):
        await database.close()


async def test_the_gateways_role_cannot_change_a_body(postgres: PostgresForTests) -> None:
    database = Database(database_url({"DATABASE_URL": postgres.url("gateway")}))
    for statement in (
        "UPDATE gateway.schemas SET body = '{}'",
        "UPDATE gateway.schemas SET version = 1",
        "UPDATE gateway.schemas SET project_id = 'x'",
    ):
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with database.transaction() as connection:
                await connection.execute(text(statement))
    await database.close()


async def test_a_database_that_is_away_is_said_to_be() -> None:
    store = PostgresSchemaStore(Database("postgresql+psycopg://nobody@127.0.0.1:1/none"))
    with pytest.raises(DatabaseUnavailableError):
        await store.list_wanted(WantedBounds(1, 1, 1), [MAKER])
