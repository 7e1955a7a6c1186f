"""A database that is away has a name of its own; one that answers is used in transactions."""

import pytest
from sqlalchemy import text

from infra.testing import PostgresForTests
from mesh.config import ConfigError
from mesh.database import Database, database_url
from mesh.errors import DatabaseBusyError, DatabaseUnavailableError


async def test_an_unreachable_database_is_unavailable() -> None:
    database = Database("postgresql+psycopg://nobody:x@127.0.0.1:1/none")
    with pytest.raises(DatabaseUnavailableError):
        await database.ping()
    await database.close()


async def test_an_error_rolls_the_transaction_back(postgres: PostgresForTests) -> None:
    database = Database(database_url({"DATABASE_URL": postgres.url("owner")}))

    async def fail_in_a_transaction() -> None:
        async with database.transaction() as connection:
            await connection.execute(text("CREATE TABLE rolled_back (id int)"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_in_a_transaction()
    async with database.transaction() as connection:
        found = await connection.execute(text("SELECT to_regclass('rolled_back')"))
        assert found.scalar() is None
    await database.close()


async def test_a_pool_that_is_full_says_so_and_how_large_it_is(postgres: PostgresForTests) -> None:
    url = database_url({"DATABASE_URL": postgres.url("gateway")})
    database = Database(url, pool_size=1, pool_seconds=0.05)
    async with database.transaction():
        with pytest.raises(DatabaseBusyError, match="All 1 connections") as caught:
            await database.ping()
    assert caught.value.metadata == {"limit": "pool_size", "maximum": "1"}
    await database.ping()
    await database.close()


@pytest.mark.parametrize("url", ["", "mysql://x", "sqlite:///x"])
def test_another_kind_of_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="DATABASE_URL"):
        database_url({"DATABASE_URL": url})
