"""Fixtures that the tests of several packages share."""

from collections.abc import Iterator

import pytest

from infra.testing import PostgresForTests, temporary_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresForTests]:
    """A real PostgreSQL, migrated; `postgres.url("gateway")` logs in as the gateway's role."""
    with temporary_postgres() as server:
        yield server
