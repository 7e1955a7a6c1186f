"""What a process remembers is bounded in number and time."""

from compiler_service.memory import FailureMemory
from mesh.errors import SchemaRefusedError
from mesh.ids import IndexId
from mesh.testing import FakeClock


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
