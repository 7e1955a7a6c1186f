"""API keys and their callers."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authentication import Authenticator
from gateway.config import GatewayConfig
from gateway.errors import ApiKeyError
from gateway.keys import NewKey, hash_key, is_well_formed, make_key
from gateway.testing import MemoryKeyStore
from mesh.errors import DatabaseUnavailableError
from mesh.testing import FakeClock


def bearer(key: NewKey) -> str:
    return f"Bearer {key.value}"


@pytest.fixture
def store() -> MemoryKeyStore:
    return MemoryKeyStore()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def authenticator(store: MemoryKeyStore, clock: FakeClock) -> Authenticator:
    return Authenticator(store, GatewayConfig(key_memory=2), clock)


def test_a_new_key_is_well_formed_long_and_its_redaction_hides_it() -> None:
    key = make_key()
    assert is_well_formed(key.value)
    assert key.value.startswith("sk-proj-")
    assert len(key.value) == 57
    assert key.hash == hash_key(key.value)
    assert key.value[10:-4] not in key.redacted_value
    assert make_key().value != key.value


@given(position=st.integers(0, 56), character=st.characters(codec="ascii", categories=["L", "N"]))
def test_a_key_with_one_wrong_character_is_not_well_formed(position: int, character: str) -> None:
    value = "sk-proj-" + make_key().value[8:]
    changed = value[:position] + character + value[position + 1 :]
    assert is_well_formed(changed) == (changed == value)


async def test_a_key_gives_its_project(authenticator: Authenticator, store: MemoryKeyStore) -> None:
    key = store.add(dialect="extended")
    caller = await authenticator.authenticate(bearer(key))
    record = store.records[key.hash]
    assert (caller.key_id, caller.project_id) == (record.key_id, record.project_id)
    assert caller.dialect == "extended"


async def test_a_fresh_key_is_looked_up_once(
    authenticator: Authenticator, store: MemoryKeyStore, clock: FakeClock
) -> None:
    key = store.add()
    await asyncio.gather(*(authenticator.authenticate(bearer(key)) for _ in range(5)))
    assert store.lookups == 1
    await clock.advance(0.6)
    await authenticator.authenticate(bearer(key))
    assert store.lookups == 2


async def test_a_revoked_key_ends_within_a_second(
    authenticator: Authenticator, store: MemoryKeyStore, clock: FakeClock
) -> None:
    key = store.add()
    await authenticator.authenticate(bearer(key))
    store.revoke(key)
    await clock.advance(0.6)
    with pytest.raises(ApiKeyError):
        await authenticator.authenticate(bearer(key))


async def test_an_expired_key_ends_at_once_even_when_remembered(
    authenticator: Authenticator, store: MemoryKeyStore, clock: FakeClock
) -> None:
    key = store.add(expires_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=0.2))
    await authenticator.authenticate(bearer(key))
    await clock.advance(0.3)
    with pytest.raises(ApiKeyError):
        await authenticator.authenticate(bearer(key))
    assert store.lookups == 1


async def test_a_recent_key_is_served_while_the_database_is_down(
    authenticator: Authenticator, store: MemoryKeyStore, clock: FakeClock
) -> None:
    key, other = store.add(), store.add()
    await authenticator.authenticate(bearer(key))
    store.is_down = True
    await clock.advance(10)
    await authenticator.authenticate(bearer(key))
    with pytest.raises(DatabaseUnavailableError):
        await authenticator.authenticate(bearer(other))
    await clock.advance(300)
    with pytest.raises(DatabaseUnavailableError):
        await authenticator.authenticate(bearer(key))


async def test_a_database_that_is_down_is_not_asked_for_every_request(
    authenticator: Authenticator, store: MemoryKeyStore, clock: FakeClock
) -> None:
    key = store.add()
    await authenticator.authenticate(bearer(key))
    store.is_down = True
    await clock.advance(1)
    for _ in range(10):
        await authenticator.authenticate(bearer(key))
    assert store.lookups == 2


async def test_a_revocation_counts_again_once_the_database_is_back(
    authenticator: Authenticator, store: MemoryKeyStore, clock: FakeClock
) -> None:
    key = store.add()
    await authenticator.authenticate(bearer(key))
    store.is_down = True
    await clock.advance(1)
    await authenticator.authenticate(bearer(key))
    store.is_down = False
    store.revoke(key)
    await clock.advance(0.6)
    with pytest.raises(ApiKeyError):
        await authenticator.authenticate(bearer(key))


async def test_an_unknown_key_is_looked_up_once_in_a_while(
    authenticator: Authenticator, store: MemoryKeyStore, clock: FakeClock
) -> None:
    key = make_key()
    for _ in range(5):
        with pytest.raises(ApiKeyError):
            await authenticator.authenticate(bearer(key))
    assert store.lookups == 1
    await clock.advance(0.6)
    with pytest.raises(ApiKeyError):
        await authenticator.authenticate(bearer(key))
    assert store.lookups == 2


async def test_the_memory_of_keys_is_bounded(
    authenticator: Authenticator, store: MemoryKeyStore
) -> None:
    keys = [store.add() for _ in range(3)]
    for key in keys:
        await authenticator.authenticate(bearer(key))
    await authenticator.authenticate(bearer(keys[0]))
    assert store.lookups == 4
