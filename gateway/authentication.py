"""Bearer keys to callers: looked up afresh every half second, served through a database blip."""

import hmac
from dataclasses import dataclass

import structlog

from gateway.config import GatewayConfig
from gateway.errors import ApiKeyError
from gateway.keys import hash_key, is_well_formed
from gateway.lookups import LookupBounds, Lookups
from gateway.store import KeyRecord, KeyStore
from mesh.clock import Clock
from mesh.ids import KeyId, ProjectId

log = structlog.get_logger()

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


class Authenticator:
    """Answers who a bearer key belongs to.

    Args:
        store: Asked at most every `key_fresh_seconds` per key.
        config: Bounds of the memory in number and time.
        clock: Decides expiry.
    """

    def __init__(self, store: KeyStore, config: GatewayConfig, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._records = Lookups(self._find_record, _bounds(config), clock, on_stale=_log_stale)

    async def authenticate(self, authorization: str | None) -> Caller:
        """Return the caller of an Authorization header.

        Raises:
            ApiKeyError: Missing, unknown, expired or revoked.
            DatabaseUnavailableError: The key cannot be looked up and was not seen recently.
        """
        record = await self._records.find(hash_key(_bearer_of(authorization)))
        if record is None or not record.is_valid(self._clock.now()):
            raise ApiKeyError(_WRONG)
        return Caller(record.key_id, record.project_id, record.organization_id, record.dialect)

    async def _find_record(self, key_hash: bytes) -> KeyRecord | None:
        record = await self._store.find_key(key_hash)
        is_same = record is not None and hmac.compare_digest(record.hash, key_hash)
        return record if is_same else None


def _bounds(config: GatewayConfig) -> LookupBounds:
    return LookupBounds(
        fresh_seconds=config.key_fresh_seconds,
        stale_seconds=config.key_stale_seconds,
        unknown_seconds=config.key_unknown_seconds,
        maximum=config.key_memory,
        unknown_maximum=config.key_memory,
    )


def _log_stale(_key_hash: bytes, record: KeyRecord) -> None:
    log.warning("key_served_without_database", key_id=record.key_id)


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
