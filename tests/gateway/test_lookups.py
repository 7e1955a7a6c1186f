"""What a store said is remembered: for so long, and never against what was changed since."""

import asyncio

import pytest

from gateway.lookups import LookupBounds, Lookups
from mesh.errors import DatabaseUnavailableError
from mesh.testing import FakeClock

BOUNDS = LookupBounds(
    fresh_seconds=5, stale_seconds=60, unknown_seconds=1, maximum=10, unknown_maximum=2
)


class Store:
    """Texts by key; `gate` holds answers back, `is_away` plays a database that does not answer."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.asked: list[str] = []
        self.served_stale: list[str] = []
        self.is_away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def find(self, key: str) -> str | None:
        self.asked.append(key)
        value = self.values.get(key)
        await self.gate.wait()
        if self.is_away:
            raise DatabaseUnavailableError("The database does not answer.")
        return value


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def lookups(store: Store, clock: FakeClock) -> Lookups[str, str]:
    def note(key: str, value: str) -> None:
        store.served_stale.append(f"{key}={value}")

    return Lookups(store.find, BOUNDS, clock, size_of=len, on_stale=note)


async def test_all_who_want_the_same_ask_once_and_again_when_it_is_old(
    lookups: Lookups[str, str], store: Store, clock: FakeClock
) -> None:
    store.values["a"] = "1"
    assert await asyncio.gather(*(lookups.find("a") for _ in range(3))) == ["1"] * 3
    await clock.advance(4)
    assert await lookups.find("a") == "1"
    assert store.asked == ["a"]
    store.values["a"] = "2"
    await clock.advance(1)
    assert await lookups.find("a") == "2"


async def test_what_there_is_not_is_believed_for_a_short_time(
    lookups: Lookups[str, str], store: Store, clock: FakeClock
) -> None:
    assert await lookups.find("a") is None
    store.values["a"] = "1"
    assert await lookups.find("a") is None
    await clock.advance(1)
    assert await lookups.find("a") == "1"


async def test_what_was_removed_is_not_served_from_before(
    lookups: Lookups[str, str], store: Store, clock: FakeClock
) -> None:
    store.values["a"] = "1"
    await lookups.find("a")
    del store.values["a"]
    await clock.advance(5)
    assert await lookups.find("a") is None
    store.is_away = True
    await clock.advance(1)
    with pytest.raises(DatabaseUnavailableError):
        await lookups.find("a")


async def test_memories_are_bounded(lookups: Lookups[str, str], store: Store) -> None:
    store.values = {"a": "x" * 6, "b": "x" * 6}
    for key in ("a", "b", "a", "none", "nor", "neither", "none"):
        await lookups.find(key)
    assert store.asked == ["a", "b", "a", "none", "nor", "neither", "none"]


async def test_a_store_that_is_away_is_left_alone_while_there_is_something_to_serve(
    lookups: Lookups[str, str], store: Store, clock: FakeClock
) -> None:
    store.values["a"] = "1"
    await lookups.find("a")
    store.is_away = True
    await clock.advance(5)
    for _ in range(3):
        assert await lookups.find("a") == "1"
    assert store.asked == ["a", "a"]
    assert store.served_stale == ["a=1"]
    await clock.advance(55)
    with pytest.raises(DatabaseUnavailableError):
        await lookups.find("a")


async def test_an_answer_from_before_a_change_is_not_remembered(
    lookups: Lookups[str, str], store: Store
) -> None:
    store.gate.clear()
    before = asyncio.create_task(lookups.find("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    store.values["a"] = "1"
    lookups.forget("a")
    after = asyncio.create_task(lookups.find("a"))
    await asyncio.sleep(0)
    store.gate.set()
    assert await before is None
    assert await after == "1"
    assert await lookups.find("a") == "1"
    assert store.asked == ["a", "a"]


async def test_one_who_leaves_does_not_take_the_answer_from_the_others(
    lookups: Lookups[str, str], store: Store
) -> None:
    store.values["a"] = "1"
    store.gate.clear()
    leaving, staying = (asyncio.create_task(lookups.find("a")) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait({leaving})
    store.gate.set()
    assert await staying == "1"
