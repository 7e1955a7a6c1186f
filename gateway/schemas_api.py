"""`/v1/schemas`: schemas as things with an id, a version and a status."""

import asyncio
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway.config import GatewayConfig
from gateway.errors import MEDIA_TYPE, RequestError
from gateway.fields import read_arguments, read_boolean, read_name, require
from gateway.json_body import read_object
from gateway.pages import list_object, read_page, read_query
from gateway.reception import Reception
from gateway.response_format import read_description, read_schema_text
from gateway.schema_registry import SchemaRegistry
from gateway.schema_resolver import unknown_schema
from gateway.schemas import (
    LARGE_BYTES,
    SchemaDraft,
    SchemaRecord,
    SchemaStore,
    StoredSchema,
    is_schema_id,
)
from mesh.ids import ProjectId, SchemaId

_PARAM = "schema_id"


@dataclass(frozen=True)
class Schemas:
    """Answers requests about a project's schemas."""

    reception: Reception
    store: SchemaStore
    registry: SchemaRegistry
    config: GatewayConfig

    async def create(self, request: Request) -> Response:
        """Register the next version of a name; the same as the newest is that one."""
        caller, body = await self.reception.receive(request)
        draft = await self._read(body)
        return _json(_with_body(await self.registry.register(caller, draft)))

    async def list(self, request: Request) -> Response:
        """Return a page of the project's schemas, without their bodies."""
        caller = await self.reception.admit(request)
        query = read_query(request.query_params.multi_items(), ("name",))
        page = read_page(query)
        _check_cursor(page.after)
        name = read_name(query["name"], "name") if "name" in query else None
        records = await self.store.list_schemas(caller.project_id, page, name)
        return _json(list_object([schema_object(record) for record in records], page.limit))

    async def get(self, request: Request, schema_id: str) -> Response:
        """Return one schema with its body."""
        caller = await self.reception.admit(request)
        return _json(_with_body(await self._find(caller.project_id, schema_id)))

    async def delete(self, request: Request, schema_id: str) -> Response:
        """Remove one schema; requests that name it are refused within seconds."""
        caller = await self.reception.admit(request)
        found = is_schema_id(schema_id) and await self.registry.remove(
            caller.project_id, SchemaId(schema_id)
        )
        if not found:
            raise unknown_schema(schema_id, _PARAM)
        return _json({"id": schema_id, "object": "schema.deleted", "deleted": True})

    async def _read(self, body: bytes) -> SchemaDraft:
        maximum = self.config.max_schema_bytes
        if len(body) < LARGE_BYTES:
            return read_draft(body, maximum)
        return await asyncio.to_thread(read_draft, body, maximum)

    async def _find(self, project_id: ProjectId, schema_id: str) -> StoredSchema:
        stored = None
        if is_schema_id(schema_id):
            stored = await self.store.find_schema(project_id, SchemaId(schema_id))
        if stored is None:
            raise unknown_schema(schema_id, _PARAM)
        return stored


def read_draft(body: bytes, max_schema_bytes: int) -> SchemaDraft:
    """Return what a body registers: the members of `response_format.json_schema`.

    Raises:
        RequestError: Malformed.
    """
    value, source = read_object(body)
    members = read_arguments(value, ("name", "description", "schema", "strict"))
    description = read_description(members, "description")
    if description is not None and "\0" in description:
        raise RequestError(
            "Invalid 'description': the character U+0000 is not supported.",
            "description",
            "invalid_value",
        )
    return SchemaDraft(
        read_name(require(members, "name", ""), "name"),
        description,
        read_boolean(members.get("strict", False), "strict"),
        read_schema_text(members, source, (), max_schema_bytes),
    )


def schema_object(record: SchemaRecord) -> dict[str, Any]:
    """Return a schema as it is shown, without its body."""
    seconds = record.outcome.seconds
    return {
        "id": record.id,
        "object": "schema",
        "created_at": int(record.created_at.timestamp()),
        "name": record.name,
        "version": record.version,
        "description": record.description,
        "strict": record.strict,
        "status": record.outcome.status,
        "error": record.outcome.error,
        "size": record.size,
        "compile_ms": None if seconds is None else round(seconds * 1000, 1),
        "uses": record.uses,
    }


def _with_body(stored: StoredSchema) -> dict[str, Any]:
    # A fragment: the body's own text, in which order and spellings are the client's.
    return {**schema_object(stored.record), "schema": orjson.Fragment(stored.body)}


def _check_cursor(after: str | None) -> None:
    if after is not None and not is_schema_id(after):
        raise RequestError(
            f"Invalid value: '{after[:64]}'. Expected the id of a schema.", "after", "invalid_value"
        )


def _json(value: dict[str, Any]) -> Response:
    return Response(orjson.dumps(value), media_type=MEDIA_TYPE)
