"""Puts a registered schema in the place of its id, looked up afresh every few seconds."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, replace

import structlog

from gateway.authentication import Caller
from gateway.config import GatewayConfig
from gateway.errors import SchemaUnknownError
from gateway.request import ChatRequest
from gateway.response_format import ResponseFormat
from gateway.schema_uses import SchemaUses
from gateway.schemas import SchemaStore, is_schema_id
from mesh.clock import Clock
from mesh.errors import DatabaseUnavailableError
from mesh.ids import ProjectId, SchemaId

log = structlog.get_logger()

_PARAM = "response_format.json_schema.schema_id"
_ENTRY_BYTES = 1024
_PARSED_TIMES = 8  # about how much larger a parsed schema is than its text

_Key = tuple[ProjectId, SchemaId]


@dataclass(frozen=True)
class _Kept:
    form: ResponseFormat
    at: float

    @property
    def size(self) -> int:
        return _ENTRY_BYTES + _PARSED_TIMES * len(self.form.schema_text)


class SchemaResolver:
    """Finds the schemas that requests name.

    Args:
        store: Asked at most every `schema_fresh_seconds` for each schema that there is.
        uses: Told of each request that names one.
        config: Bounds of the memory in bytes and time.
        clock: Ages it.
    """

    def __init__(
        self, store: SchemaStore, uses: SchemaUses, config: GatewayConfig, clock: Clock
    ) -> None:
        self._store = store
        self._uses = uses
        self._config = config
        self._clock = clock
        self._memory: OrderedDict[_Key, _Kept] = OrderedDict()
        self._bytes = 0
        self._lookups: dict[_Key, asyncio.Task[ResponseFormat | None]] = {}
        self._down_until = 0.0

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
        form = await self._find(key) if is_schema_id(name) else None
        if form is None:
            raise unknown_schema(name, _PARAM)
        self._uses.count(key[1])
        return replace(request, format=form)

    async def _find(self, key: _Key) -> ResponseFormat | None:
        """Ask the database; while it is down, take what was looked up a while ago."""
        now = self._clock.monotonic()
        kept = self._memory.get(key)
        seconds = self._config.schema_fresh_seconds
        if now < self._down_until:
            seconds = self._config.schema_stale_seconds
        if kept is not None and now - kept.at < seconds:
            self._memory.move_to_end(key)
            return kept.form
        try:
            return await self._look_up(key)
        except DatabaseUnavailableError:
            self._down_until = now + self._config.schema_fresh_seconds
            if kept is None or now - kept.at >= self._config.schema_stale_seconds:
                raise
            log.warning("schema_served_without_database", schema_id=key[1])
            return kept.form

    async def _look_up(self, key: _Key) -> ResponseFormat | None:
        """Ask the database, once for all requests that want the same schema at the same time."""
        task = self._lookups.get(key)
        if task is None:
            task = self._lookups[key] = asyncio.create_task(self._fetch(key))
            task.add_done_callback(lambda done: self._end_lookup(key, done))
        return await asyncio.shield(task)

    async def _fetch(self, key: _Key) -> ResponseFormat | None:
        asked_at = self._clock.monotonic()
        stored = await self._store.find_schema(*key)
        self._forget(key)
        if stored is None:
            return None
        form = await stored.to_format()
        self._keep(key, _Kept(form, asked_at))
        return form

    def _end_lookup(self, key: _Key, done: "asyncio.Task[ResponseFormat | None]") -> None:
        self._lookups.pop(key, None)
        if not done.cancelled():
            done.exception()  # seen, even where everybody who waited has left

    def _keep(self, key: _Key, kept: _Kept) -> None:
        self._memory[key] = kept
        self._bytes += kept.size
        while self._bytes > self._config.schema_memory_bytes:
            self._forget(next(iter(self._memory)))

    def _forget(self, key: _Key) -> None:
        kept = self._memory.pop(key, None)
        if kept is not None:
            self._bytes -= kept.size


def unknown_schema(name: str, param: str) -> SchemaUnknownError:
    """Return the error of an id that a project has no schema with."""
    return SchemaUnknownError(
        f"The schema '{name[:64]}' does not exist or you do not have access to it.", field=param
    )
