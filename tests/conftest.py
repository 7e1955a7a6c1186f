"""Fixtures that the tests of several packages share."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from infra.testing import MeshForTests, PostgresForTests, temporary_mesh, temporary_postgres

# Generated cases are judged by what they show, not by how busy the machine was meanwhile.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresForTests]:
    """A real PostgreSQL, migrated; `postgres.url("gateway")` logs in as the gateway's role."""
    with temporary_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def trained_mesh() -> Iterator[MeshForTests]:
    """A whole mesh with the built-in model: for what makes no sense with random weights."""
    with temporary_mesh({"mesh": {"drain_seconds": 20.0}}, trained=True) as running:
        yield running


@pytest.fixture(scope="session")
def trained_key(trained_mesh: MeshForTests) -> str:
    """A key of that mesh."""
    return trained_mesh.create_key()
