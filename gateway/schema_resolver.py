"""Puts a registered schema in the place of its id, looked up afresh every few seconds."""

from dataclasses import replace

import structlog

from gateway.authentication import Caller
from gateway.config import GatewayConfig
from gateway.errors import SchemaUnknownError
from gateway.lookups import LookupBounds, Lookups
from gateway.request import ChatRequest
from gateway.response_format import ResponseFormat
from gateway.schema_uses import SchemaUses
from gateway.schemas import SchemaStore, is_schema_id
from mesh.clock import Clock
from mesh.ids import ProjectId, SchemaId

log = structlog.get_logger()

_PARAM = "response_format.json_schema.schema_id"
_ENTRY_BYTES = 1024
_PARSED_TIMES = 8  # about how much larger a parsed schema is than its text

_Key = tuple[ProjectId, SchemaId]


class SchemaResolver:
    """Finds the schemas that requests name.

    Args:
        store: Asked at most every `schema_fresh_seconds` for each schema.
        uses: Told of each request that names one.
        config: Bounds of the memory in bytes and time.
        clock: Ages it.
    """

    def __init__(
        self, store: SchemaStore, uses: SchemaUses, config: GatewayConfig, clock: Clock
    ) -> None:
        self._store = store
        self._uses = uses
        self._forms = Lookups(
            self._find_form, _bounds(config), clock, size_of=_size, on_stale=_log_stale
        )

    async def resolve(self, request: ChatRequest, caller: Caller) -> ChatRequest:
        """Return the request with the schema that it names by id, if it does, in its format.

        Raises:
            SchemaUnknownError: The caller's project has none with this id.
            DatabaseUnavailableError: It cannot be looked up and was not seen recently.
        """
        name = request.format.schema_id
        if name is None:
            return request
        key = (caller.project_id, SchemaId(name))
        form = await self._forms.find(key) if is_schema_id(name) else None
        if form is None:
            raise unknown_schema(name, _PARAM)
        self._uses.count(key[1])
        return replace(request, format=form)

    def forget(self, project_id: ProjectId, schema_id: SchemaId) -> None:
        """Look a schema up when it is next named: it was registered or removed here."""
        self._forms.forget((project_id, schema_id))

    async def _find_form(self, key: _Key) -> ResponseFormat | None:
        stored = await self._store.find_schema(*key)
        return None if stored is None else await stored.to_format()


def _bounds(config: GatewayConfig) -> LookupBounds:
    return LookupBounds(
        fresh_seconds=config.schema_fresh_seconds,
        stale_seconds=config.schema_stale_seconds,
        unknown_seconds=config.schema_unknown_seconds,
        maximum=config.schema_memory_bytes,
        unknown_maximum=config.schema_unknown_memory,
    )


def _size(form: ResponseFormat) -> int:
    return _ENTRY_BYTES + _PARSED_TIMES * len(form.schema_text)


def _log_stale(key: _Key, _form: ResponseFormat) -> None:
    log.warning("schema_served_without_database", schema_id=key[1])


def unknown_schema(name: str, param: str) -> SchemaUnknownError:
    """Return the error of an id that a project has no schema with."""
    return SchemaUnknownError(
        f"The schema '{name[:64]}' does not exist or you do not have access to it.", field=param
    )
