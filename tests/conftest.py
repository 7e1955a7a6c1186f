"""Fixtures that the tests of several packages share."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from infra.testing import PostgresForTests, temporary_postgres

# Generated cases are judged by what they show, not by how busy the machine was meanwhile.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresForTests]:
    """A real PostgreSQL, migrated; `postgres.url("gateway")` logs in as the gateway's role."""
    with temporary_postgres() as server:
        yield server
