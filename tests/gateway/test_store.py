"""Projects, keys and the audit log in a real PostgreSQL, as the gateway's own role."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from gateway.authentication import Authenticator
from gateway.config import GatewayConfig
from gateway.errors import ApiKeyError
from gateway.keys import hash_key, make_key
from gateway.store import PostgresKeyStore
from infra.testing import PostgresForTests
from mesh.clock import SystemClock
from mesh.database import Database, database_url
from mesh.ids import KeyId, new_id


@pytest.fixture
async def database(postgres: PostgresForTests) -> AsyncIterator[Database]:
    opened = Database(database_url({"DATABASE_URL": postgres.url("gateway")}))
    yield opened
    await opened.close()


@pytest.fixture
def store(database: Database) -> PostgresKeyStore:
    return PostgresKeyStore(database)


async def fetch(database: Database, query: str, **values: object) -> list[Any]:
    async with database.transaction() as connection:
        return list(await connection.execute(text(query), values))


async def organization_of(database: Database, project_id: str) -> str:
    query = "SELECT organization_id FROM gateway.projects WHERE id = :id"
    [(organization_id,)] = await fetch(database, query, id=project_id)
    return str(organization_id)


async def test_a_key_is_found_by_its_hash_and_kept_nowhere_else(
    store: PostgresKeyStore, database: Database
) -> None:
    project_id = await store.ensure_project("default", new_id("p"))
    key = make_key()
    key_id = await store.create_key(project_id, "first", key, None)
    record = await store.find_key(hash_key(key.value))
    assert record is not None
    assert (record.key_id, record.project_id, record.dialect) == (key_id, project_id, "strict")
    for table in ("keys", "audit_events"):
        [(dump,)] = await fetch(database, f"SELECT json_agg(t)::text FROM gateway.{table} t")  # noqa: S608 - two literals
        assert key.value not in dump
    assert await store.find_key(b"x" * 32) is None


async def test_ensuring_a_project_twice_gives_the_same_one(store: PostgresKeyStore) -> None:
    name = new_id("p")
    made = await asyncio.gather(*(store.ensure_project("default", name) for _ in range(4)))
    assert len(set(made)) == 1


async def test_a_revoked_key_ends(store: PostgresKeyStore) -> None:
    key = make_key()
    project_id = await store.ensure_project("default", new_id("p"))
    key_id = await store.create_key(project_id, "k", key, None)
    config = GatewayConfig(key_fresh_seconds=0.0)
    authenticator = Authenticator(store, config, SystemClock())
    await authenticator.authenticate(f"Bearer {key.value}")
    assert await store.revoke_key(key_id)
    with pytest.raises(ApiKeyError):
        await authenticator.authenticate(f"Bearer {key.value}")
    assert not await store.revoke_key(key_id)
    assert not await store.revoke_key(KeyId("key_none"))


async def test_creation_and_revocation_are_in_the_audit_log_in_order(
    store: PostgresKeyStore, database: Database
) -> None:
    project_id = await store.ensure_project(new_id("org"), "p")
    organization_id = await organization_of(database, project_id)
    key_id = await store.create_key(project_id, "k", make_key(), None)
    await store.revoke_key(key_id)
    rows = await fetch(
        database,
        "SELECT type, project_id, payload FROM gateway.audit_events"
        " WHERE organization_id = :id ORDER BY sequence",
        id=organization_id,
    )
    assert [row.type for row in rows] == ["project.created", "api_key.created", "api_key.deleted"]
    assert {row.project_id for row in rows} == {project_id}
    assert rows[2].payload == {"id": key_id}
    assert await store.find_audit_break(organization_id) is None


async def test_a_change_that_fails_leaves_no_event(
    store: PostgresKeyStore, database: Database
) -> None:
    project_id = await store.ensure_project(new_id("org"), "p")
    organization_id = await organization_of(database, project_id)
    key = make_key()
    await store.create_key(project_id, "k", key, None)
    with pytest.raises(IntegrityError, match="keys_hash_key"):
        await store.create_key(project_id, "again", key, None)
    query = "SELECT count(*) FROM gateway.audit_events WHERE organization_id = :id"
    assert await fetch(database, query, id=organization_id) == [(2,)]


async def test_concurrent_events_make_one_chain(
    store: PostgresKeyStore, database: Database
) -> None:
    project_id = await store.ensure_project(new_id("org"), "p")
    organization_id = await organization_of(database, project_id)
    await asyncio.gather(
        *(store.create_key(project_id, f"k{i}", make_key(), None) for i in range(12))
    )
    query = "SELECT max(sequence) FROM gateway.audit_events WHERE organization_id = :id"
    assert await fetch(database, query, id=organization_id) == [(13,)]
    assert await store.find_audit_break(organization_id) is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE gateway.audit_events SET type = 'x'",
        "DELETE FROM gateway.audit_events",
        "TRUNCATE gateway.audit_events",
        "INSERT INTO gateway.audit_events DEFAULT VALUES",
        "UPDATE gateway.audit_heads SET sequence = 0",
        "SELECT * FROM gateway.audit_heads",
        "DELETE FROM gateway.keys",
        "UPDATE gateway.keys SET hash = 'x'",
        "DROP TABLE gateway.keys",
    ],
)
async def test_the_gateways_role_may_not(database: Database, statement: str) -> None:
    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
        await fetch(database, statement)


@pytest.mark.parametrize("role", ["compiler", "scheduler"])
def test_other_services_may_not_even_look(postgres: PostgresForTests, role: str) -> None:
    with (
        psycopg.connect(postgres.url(role)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("SELECT 1 FROM gateway.keys")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE gateway.audit_events SET type = 'x' WHERE sequence = 1",
        "DELETE FROM gateway.audit_events",
        "TRUNCATE gateway.audit_events",
    ],
)
async def test_the_owner_is_refused_by_the_triggers(
    store: PostgresKeyStore, postgres: PostgresForTests, statement: str
) -> None:
    await store.ensure_project(new_id("org"), "p")
    with (
        psycopg.connect(postgres.url("owner")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"),
    ):
        connection.execute(statement)


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ("UPDATE gateway.audit_events SET type = 'x' WHERE sequence = 2", 2),
        ("UPDATE gateway.audit_events SET payload = '{}' WHERE sequence = 3", 3),
        ("DELETE FROM gateway.audit_events WHERE sequence = 2", 2),
        ("DELETE FROM gateway.audit_events WHERE sequence = 4", 4),
    ],
)
async def test_tampering_by_who_can_is_found(
    store: PostgresKeyStore,
    database: Database,
    postgres: PostgresForTests,
    change: str,
    broken: int,
) -> None:
    project_id = await store.ensure_project(new_id("org"), "p")
    organization_id = await organization_of(database, project_id)
    for name in ("a", "b", "c"):
        await store.create_key(project_id, name, make_key(), None)
    toggle = "ALTER TABLE gateway.audit_events {} TRIGGER USER"
    with psycopg.connect(postgres.url("owner")) as connection:
        connection.execute(toggle.format("DISABLE"))
        connection.execute(f"{change} AND organization_id = '{organization_id}'")
        connection.execute(toggle.format("ENABLE"))
    assert await store.find_audit_break(organization_id) == broken


@pytest.mark.parametrize("value", ["NULL", "now() + interval '1 day'"])
async def test_a_revoked_key_stays_revoked(
    store: PostgresKeyStore, database: Database, value: str
) -> None:
    project_id = await store.ensure_project(new_id("org"), "p")
    key_id = await store.create_key(project_id, "a", make_key(), None)
    assert await store.revoke_key(key_id)
    statement = f"UPDATE gateway.keys SET revoked_at = {value} WHERE id = :id RETURNING id"  # noqa: S608 - two literals
    with pytest.raises(ProgrammingError, match="stays revoked"):
        await fetch(database, statement, id=key_id)


def test_the_command_makes_and_revokes_a_key(postgres: PostgresForTests) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "gateway.provision", *arguments],
            env={"DATABASE_URL": postgres.url("gateway"), "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    made = run("create-key", "--project", "shell", "--expires-in-seconds", "60")
    assert made.returncode == 0, made.stderr
    value = made.stdout.strip()
    assert value.startswith("sk-proj-")
    key_id = next(word for word in made.stderr.split() if word.startswith("key_"))
    assert value not in made.stderr
    assert run("revoke-key", key_id).returncode == 0
    again = run("revoke-key", key_id)
    assert again.returncode == 1
    assert key_id in again.stderr
