"""Bearer keys to callers: looked up afresh every half second, served through a database blip."""

import asyncio
import hmac
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

import structlog

from gateway.config import GatewayConfig
from gateway.errors import ApiKeyError
from gateway.keys import hash_key, is_well_formed
from gateway.store import KeyRecord, KeyStore
from mesh.clock import Clock
from mesh.errors import DatabaseUnavailableError
from mesh.ids import KeyId, ProjectId

log = structlog.get_logger()

T = TypeVar("T")

_MISSING = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header "
    "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
)
_WRONG = "Incorrect API key provided. Check that it is complete, not expired and not revoked."


@dataclass(frozen=True)
class Caller:
    """Who calls: a key and its project."""

    key_id: KeyId
    project_id: ProjectId
    organization_id: str
    dialect: str


@dataclass(frozen=True)
class _Verified:
    record: KeyRecord
    at: float


class Authenticator:
    """Answers who a bearer key belongs to.

    Args:
        store: Asked at most every `key_fresh_seconds` per key.
        config: Bounds of the memory in number and time.
        clock: Decides expiry.
    """

    def __init__(self, store: KeyStore, config: GatewayConfig, clock: Clock) -> None:
        self._store = store
        self._config = config
        self._clock = clock
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._lookups: dict[bytes, asyncio.Task[KeyRecord | None]] = {}
        self._down_until = 0.0

    async def authenticate(self, authorization: str | None) -> Caller:
        """Return the caller of an Authorization header.

        Raises:
            ApiKeyError: Missing, unknown, expired or revoked.
            DatabaseUnavailableError: The key cannot be looked up and was not seen recently.
        """
        key_hash = hash_key(_bearer_of(authorization))
        record = self._find_verified(key_hash, self._config.key_fresh_seconds)
        if record is None and not self._is_known_unknown(key_hash):
            record = await self._look_up(key_hash)
        if record is None or not record.is_valid(self._clock.now()):
            raise ApiKeyError(_WRONG)
        return Caller(record.key_id, record.project_id, record.organization_id, record.dialect)

    async def _look_up(self, key_hash: bytes) -> KeyRecord | None:
        """Ask the database; while it is down, take what was verified a while ago."""
        stale = self._find_verified(key_hash, self._config.key_stale_seconds)
        if stale is not None and self._clock.monotonic() < self._down_until:
            return stale
        try:
            return await self._fetch(key_hash)
        except DatabaseUnavailableError:
            self._down_until = self._clock.monotonic() + self._config.key_fresh_seconds
            if stale is None:
                raise
            log.warning("key_served_without_database", key_id=stale.key_id)
            return stale

    async def _fetch(self, key_hash: bytes) -> KeyRecord | None:
        """Ask the database, once for all requests that want the same key at the same time."""
        task = self._lookups.get(key_hash)
        if task is None:
            task = asyncio.create_task(self._fetch_once(key_hash))
            self._lookups[key_hash] = task
            task.add_done_callback(lambda done: self._forget_lookup(key_hash, done))
        return await asyncio.shield(task)

    async def _fetch_once(self, key_hash: bytes) -> KeyRecord | None:
        # The time before the look-up: a revocation while it runs is not hidden any longer.
        asked_at = self._clock.monotonic()
        record = await self._store.find_key(key_hash)
        if record is None or not hmac.compare_digest(record.hash, key_hash):
            self._verified.pop(key_hash, None)
            _keep(self._unknown, key_hash, asked_at, self._config.key_memory)
            return None
        _keep(self._verified, key_hash, _Verified(record, asked_at), self._config.key_memory)
        return record

    def _forget_lookup(self, key_hash: bytes, done: asyncio.Task[KeyRecord | None]) -> None:
        self._lookups.pop(key_hash, None)
        if not done.cancelled():
            done.exception()  # seen, even where everybody who waited has left

    def _is_known_unknown(self, key_hash: bytes) -> bool:
        """Return whether the database did not know the key a moment ago."""
        asked_at = self._unknown.get(key_hash, -math.inf)
        return self._clock.monotonic() - asked_at < self._config.key_unknown_seconds

    def _find_verified(self, key_hash: bytes, seconds: float) -> KeyRecord | None:
        verified = self._verified.get(key_hash)
        if verified is None or self._clock.monotonic() - verified.at >= seconds:
            return None
        return verified.record


def _keep(memory: OrderedDict[bytes, T], key: bytes, value: T, maximum: int) -> None:
    """Remember a value, and forget the oldest beyond the maximum."""
    memory[key] = value
    memory.move_to_end(key)
    while len(memory) > maximum:
        memory.popitem(last=False)


def _bearer_of(authorization: str | None) -> str:
    if not authorization:
        raise ApiKeyError(_MISSING)
    scheme, _, value = authorization.partition(" ")
    value = value.strip()
    if scheme.lower() != "bearer" or not value:
        raise ApiKeyError(_MISSING)
    if not is_well_formed(value):
        raise ApiKeyError(_WRONG)
    return value
