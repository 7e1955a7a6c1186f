"""Organisations, projects, keys and audit events in PostgreSQL: the only SQL of the gateway."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.keys import NewKey
from mesh.database import Database
from mesh.ids import KeyId, ProjectId, new_id


class AuditType(StrEnum):
    """The closed list of what the gateway records; the names are OpenAI's."""

    PROJECT_CREATED = "project.created"
    KEY_CREATED = "api_key.created"
    KEY_DELETED = "api_key.deleted"


@dataclass(frozen=True)
class KeyRecord:
    """A stored key with what a request needs to know of its project."""

    key_id: KeyId
    hash: bytes
    project_id: ProjectId
    organization_id: str
    dialect: str
    expires_at: datetime | None
    revoked_at: datetime | None

    def is_valid(self, now: datetime) -> bool:
        """Return whether the key may be used now."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class KeyStore(Protocol):
    """Where keys are looked up."""

    async def find_key(self, key_hash: bytes) -> KeyRecord | None:
        """Return the key with this hash, of a project that is not archived.

        Raises:
            DatabaseUnavailableError: The database does not answer.
        """


# Who acts through `gateway.provision`: the operator of the machine, not a key.
OPERATOR = {"type": "operator"}

_FIND = text("""
SELECT k.id, k.hash, k.project_id, p.organization_id, p.dialect, k.expires_at, k.revoked_at
FROM gateway.keys k JOIN gateway.projects p ON p.id = k.project_id
WHERE k.hash = :hash AND p.archived_at IS NULL
""")


class PostgresKeyStore:
    """Keys and their projects in the schema `gateway`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_key(self, key_hash: bytes) -> KeyRecord | None:
        """Return the key with this hash, of a project that is not archived."""
        async with self._database.transaction() as connection:
            row = (await connection.execute(_FIND, {"hash": key_hash})).one_or_none()
        if row is None:
            return None
        return KeyRecord(
            KeyId(row.id),
            bytes(row.hash),
            ProjectId(row.project_id),
            row.organization_id,
            row.dialect,
            row.expires_at,
            row.revoked_at,
        )

    async def ensure_project(self, organization: str, name: str) -> ProjectId:
        """Return the project of that name, made and recorded where it is missing."""
        async with self._database.transaction() as connection:
            organization_id = await _ensure_organization(connection, organization)
            return await _ensure_project(connection, organization_id, name)

    async def create_key(
        self, project_id: ProjectId, name: str, key: NewKey, expires_at: datetime | None
    ) -> KeyId:
        """Store a key's hash and record its creation, in one transaction; return its id."""
        key_id = KeyId(new_id("key"))
        async with self._database.transaction() as connection:
            organization_id = await _organization_of(connection, project_id)
            await connection.execute(
                text(
                    "INSERT INTO gateway.keys"
                    " (id, project_id, name, hash, redacted_value, expires_at)"
                    " VALUES (:id, :project, :name, :hash, :redacted, :expires_at)"
                ),
                {
                    "id": key_id,
                    "project": project_id,
                    "name": name,
                    "hash": key.hash,
                    "redacted": key.redacted_value,
                    "expires_at": expires_at,
                },
            )
            data = {"name": name, "redacted_value": key.redacted_value, "scopes": []}
            payload = {"id": key_id, "data": data}
            await record_event(
                connection, organization_id, AuditType.KEY_CREATED, project_id, payload
            )
        return key_id

    async def revoke_key(self, key_id: KeyId) -> bool:
        """Revoke a key and record it, in one transaction; False where nothing was to revoke."""
        async with self._database.transaction() as connection:
            revoke = text(
                "UPDATE gateway.keys SET revoked_at = now() WHERE id = :id AND revoked_at IS NULL"
                " RETURNING project_id"
            )
            project_id = (await connection.execute(revoke, {"id": key_id})).scalar_one_or_none()
            if project_id is None:
                return False
            organization_id = await _organization_of(connection, project_id)
            await record_event(
                connection, organization_id, AuditType.KEY_DELETED, project_id, {"id": key_id}
            )
        return True

    async def find_audit_break(self, organization_id: str) -> int | None:
        """Return the number of the first event that breaks an organisation's chain."""
        async with self._database.transaction() as connection:
            query = text("SELECT gateway.find_audit_break(:organization)")
            broken = await connection.execute(query, {"organization": organization_id})
            number: int | None = broken.scalar_one()
            return number


async def record_event(
    connection: AsyncConnection,
    organization_id: str,
    kind: AuditType,
    project_id: str,
    payload: Mapping[str, Any],
) -> None:
    """Append an event to the audit log, in the transaction of the change that it tells of."""
    await connection.execute(
        text(
            "SELECT gateway.record_audit_event(:organization, :id, :type, :project,"
            " CAST(:actor AS jsonb), CAST(:payload AS jsonb))"
        ),
        {
            "organization": organization_id,
            "id": new_id("audit_log"),
            "type": kind.value,
            "project": project_id,
            "actor": json.dumps(OPERATOR),
            "payload": json.dumps(payload),
        },
    )


async def _ensure_organization(connection: AsyncConnection, name: str) -> str:
    insert = text(
        "INSERT INTO gateway.organizations (id, name) VALUES (:id, :name) ON CONFLICT DO NOTHING"
    )
    await connection.execute(insert, {"id": new_id("org"), "name": name})
    query = text("SELECT id FROM gateway.organizations WHERE name = :name")
    organization_id: str = (await connection.execute(query, {"name": name})).scalar_one()
    return organization_id


async def _ensure_project(
    connection: AsyncConnection, organization_id: str, name: str
) -> ProjectId:
    values = {"id": new_id("proj"), "organization": organization_id, "name": name}
    insert = text(
        "INSERT INTO gateway.projects (id, organization_id, name)"
        " VALUES (:id, :organization, :name) ON CONFLICT DO NOTHING RETURNING id"
    )
    made = (await connection.execute(insert, values)).scalar_one_or_none()
    if made is not None:
        payload = {"id": made, "data": {"name": name}}
        await record_event(connection, organization_id, AuditType.PROJECT_CREATED, made, payload)
        return ProjectId(made)
    query = text(
        "SELECT id FROM gateway.projects WHERE organization_id = :organization AND name = :name"
    )
    return ProjectId((await connection.execute(query, values)).scalar_one())


async def _organization_of(connection: AsyncConnection, project_id: str) -> str:
    query = text("SELECT organization_id FROM gateway.projects WHERE id = :id")
    organization_id: str = (await connection.execute(query, {"id": project_id})).scalar_one()
    return organization_id
