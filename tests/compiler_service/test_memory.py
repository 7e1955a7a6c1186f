"""What a process remembers is bounded."""

from compiler_service.index_store import StoredIndex
from compiler_service.memory import FailureMemory, HeldIndex, IndexMemory
from mesh.errors import SchemaRefusedError
from mesh.ids import Fingerprint, IndexId
from mesh.testing import FakeClock


def held(name: str, size: int) -> HeldIndex:
    index = StoredIndex(IndexId(name), 1, b"x" * size, None, 0.1, Fingerprint("f"), "e")
    return HeldIndex(index, b"", is_persisted=False)


def test_the_least_recently_used_index_goes_first() -> None:
    memory = IndexMemory(100)
    for name in ("a", "b", "c"):
        memory.record(held(name, 33))
    assert memory.find(IndexId("a")) is not None
    memory.record(held("d", 33))
    kept = [name for name in "abcd" if memory.find(IndexId(name)) is not None]
    assert kept == ["a", "c", "d"]
    assert memory.total_bytes == 99


def test_an_index_takes_the_place_of_its_earlier_self() -> None:
    memory = IndexMemory(100)
    memory.record(held("a", 60))
    memory.record(held("a", 70))
    assert memory.total_bytes == 70


def test_an_index_larger_than_everything_is_not_kept() -> None:
    memory = IndexMemory(100)
    memory.record(held("small", 50))
    memory.record(held("large", 101))
    assert memory.find(IndexId("large")) is None
    assert memory.find(IndexId("small")) is not None


async def test_a_failure_is_forgotten_in_time(clock: FakeClock) -> None:
    failures = FailureMemory(10, 60.0, clock)
    failures.record(IndexId("a"), SchemaRefusedError("no"))
    await clock.advance(59)
    assert failures.find(IndexId("a")) is not None
    await clock.advance(2)
    assert failures.find(IndexId("a")) is None


def test_the_oldest_failure_makes_room(clock: FakeClock) -> None:
    failures = FailureMemory(2, 60.0, clock)
    for name in ("a", "b", "c"):
        failures.record(IndexId(name), SchemaRefusedError(name))
    assert [name for name in "abc" if failures.find(IndexId(name))] == ["b", "c"]
