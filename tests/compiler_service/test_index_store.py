"""What an IndexStore promises, kept by the one in PostgreSQL and by the fake alike."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from sqlalchemy import text

from compiler_service.index_store import IndexStore, StoredIndex
from compiler_service.postgres_store import PostgresIndexStore
from compiler_service.testing import FakeIndexStore
from infra.testing import PostgresForTests
from mesh.database import Database, database_url
from mesh.errors import (
    CompileBudgetError,
    DatabaseUnavailableError,
    FormworkError,
    SchemaRefusedError,
)
from mesh.ids import Fingerprint, IndexId
from mesh.testing import FakeClock

Wait = Callable[[float], Awaitable[None]]


class Fixture:
    """A store, and a way to let time pass for it."""

    def __init__(self, store: IndexStore, wait: Wait) -> None:
        self.store = store
        self.wait = wait


async def open_database(postgres: PostgresForTests, role: str) -> Database:
    return Database(database_url({"DATABASE_URL": postgres.url(role)}))


@pytest.fixture(params=["fake", "postgres"])
async def kept(request: pytest.FixtureRequest) -> AsyncIterator[Fixture]:
    if request.param == "fake":
        clock = FakeClock()
        yield Fixture(FakeIndexStore(clock), clock.advance)
        return
    postgres: PostgresForTests = request.getfixturevalue("postgres")
    database = await open_database(postgres, "compiler")
    owner = await open_database(postgres, "owner")

    async def wait(seconds: float) -> None:
        """Move what is stored into the past instead."""
        async with owner.transaction() as connection:
            for table, column in (
                ("claims", "expires_at"),
                ("failures", "expires_at"),
                ("indexes", "last_used_at"),
            ):
                statement = f"UPDATE compiler.{table} SET {column} = {column} - :d * interval '1 s'"  # noqa: S608 - names of this test
                await connection.execute(text(statement), {"d": seconds})

    yield Fixture(PostgresIndexStore(database), wait)
    async with owner.transaction() as connection:
        await connection.execute(
            text("TRUNCATE compiler.indexes, compiler.claims, compiler.failures")
        )
    await database.close()
    await owner.close()


def index(name: str, *, revision: int = 1, size: int = 10, engine: str = "e1") -> StoredIndex:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    shortest = None if revision == 1 else 7
    return StoredIndex(id_of(name), revision, data, shortest, 0.25, Fingerprint("f" * 64), engine)


def id_of(name: str) -> IndexId:
    return IndexId(name.ljust(64, "0"))


async def test_an_index_comes_back_as_it_was_recorded(kept: Fixture) -> None:
    assert await kept.store.find_index(id_of("a")) is None
    for one in (index("a"), index("b", size=300_000)):
        await kept.store.record_index(one)
        assert await kept.store.find_index(one.index_id) == one


async def test_bytes_under_a_revision_never_change(kept: Fixture) -> None:
    await kept.store.record_index(index("a", size=5))
    await kept.store.record_index(index("a", size=9))
    assert await kept.store.find_index(id_of("a")) == index("a", size=5)


async def test_several_are_found_at_once_each_as_by_itself(kept: Fixture) -> None:
    assert await kept.store.find_all([id_of("a")]) == {}
    for one in (index("a"), index("a", revision=2), index("b"), index("c")):
        await kept.store.record_index(one)
    await kept.wait(100)
    for name in "bd":
        refusal = SchemaRefusedError("No.", metadata={"pointer": name})
        await kept.store.record_failure(id_of(name), refusal, seconds=60)
    found = await kept.store.find_all([id_of(name) for name in "abde"])
    assert set(found) == {id_of("a"), id_of("b"), id_of("d")}
    assert (found[id_of("a")], found[id_of("b")]) == (index("a", revision=2), index("b"))
    failure = found[id_of("d")]
    assert isinstance(failure, SchemaRefusedError)
    assert failure.metadata["pointer"] == "d"


async def test_the_highest_revision_is_found(kept: Fixture) -> None:
    await kept.store.record_index(index("a", revision=2))
    await kept.store.record_index(index("a", revision=1))
    assert await kept.store.find_index(id_of("a")) == index("a", revision=2)


async def test_a_failure_comes_back_until_it_expires(kept: Fixture) -> None:
    errors: list[FormworkError] = [
        SchemaRefusedError("no", field="/a", metadata={"keyword": "not", "context": "('a',)"}),
        CompileBudgetError("long", metadata={"limit": "compile_seconds", "maximum": "2"}),
    ]
    for error in errors:
        await kept.store.record_failure(id_of("a"), error, seconds=60)
        found = (await kept.store.find_all([id_of("a")])).get(id_of("a"))
        assert type(found) is type(error)
        assert found is not None
        assert (found.message, found.metadata, found.field) == (
            error.message,
            error.metadata,
            error.field,
        )
    await kept.wait(61)
    assert (await kept.store.find_all([id_of("a")])).get(id_of("a")) is None


async def test_a_claim_is_one_owners_until_it_is_released_or_expires(kept: Fixture) -> None:
    assert await kept.store.claim(id_of("a"), "one", seconds=5)
    assert await kept.store.claim(id_of("a"), "one", seconds=5)
    assert not await kept.store.claim(id_of("a"), "two", seconds=5)
    assert await kept.store.find_claim(id_of("a")) == "one"
    await kept.store.release_claim(id_of("a"), "two")
    assert await kept.store.find_claim(id_of("a")) == "one"
    await kept.store.release_claim(id_of("a"), "one")
    assert await kept.store.find_claim(id_of("a")) is None
    assert await kept.store.claim(id_of("a"), "two", seconds=5)
    await kept.wait(6)
    assert await kept.store.find_claim(id_of("a")) is None
    assert await kept.store.claim(id_of("a"), "three", seconds=5)


async def test_of_many_who_claim_at_once_one_succeeds(kept: Fixture) -> None:
    claims = (kept.store.claim(id_of("a"), f"owner {n}", seconds=5) for n in range(6))
    assert sum(await asyncio.gather(*claims)) == 1


async def test_pruning_removes_what_is_unused(kept: Fixture) -> None:
    await kept.store.record_index(index("old"))
    await kept.store.record_index(index("foreign", engine="e0"))
    await kept.wait(20)
    await kept.store.record_index(index("new"))
    pruned = await kept.store.prune(engine_version="e1", keep_seconds=100, max_bytes=10**9)
    assert pruned == 1
    assert await kept.store.find_index(id_of("foreign")) is None
    await kept.wait(90)
    assert await kept.store.find_index(id_of("new")) is not None  # used again
    assert await kept.store.prune(engine_version="e1", keep_seconds=100, max_bytes=10**9) == 1
    assert await kept.store.find_index(id_of("old")) is None


async def test_pruning_keeps_to_a_number_of_bytes(kept: Fixture) -> None:
    for name in ("a", "b", "c"):
        await kept.store.record_index(index(name, size=100))
        await kept.wait(5)
    assert await kept.store.prune(engine_version="e1", keep_seconds=1000, max_bytes=250) == 1
    left = [name for name in "abc" if await kept.store.find_index(id_of(name)) is not None]
    assert left == ["b", "c"]


class TestPostgres:
    async def test_nobody_listening_is_a_database_that_is_unavailable(self) -> None:
        url = "postgresql+psycopg://nobody:nothing@127.0.0.1:1/none"
        database = Database(url)
        with pytest.raises(DatabaseUnavailableError):
            await PostgresIndexStore(database).find_index(id_of("a"))
        await database.close()

    async def test_a_stored_failure_that_cannot_be_read_is_none(
        self, postgres: PostgresForTests
    ) -> None:
        owner = await open_database(postgres, "owner")
        async with owner.transaction() as connection:
            await connection.execute(
                text(
                    "INSERT INTO compiler.failures VALUES (:id, :status, now() + interval '1 hour')"
                ),
                {"id": id_of("broken"), "status": b"\xff\xff\xff"},
            )
        database = await open_database(postgres, "compiler")
        assert await PostgresIndexStore(database).find_all([id_of("broken")]) == {}
        await database.close()
        await owner.close()

    async def test_the_compilers_role_can_change_no_stored_bytes(
        self, postgres: PostgresForTests
    ) -> None:
        database = await open_database(postgres, "compiler")
        with pytest.raises(Exception, match="permission denied"):
            async with database.transaction() as connection:
                await connection.execute(text("UPDATE compiler.indexes SET data = ''"))
        await database.close()
