"""What is remembered is bounded by its size."""

from mesh.memory import BoundedMemory


def kept(memory: BoundedMemory[str, str]) -> list[str]:
    return [key for key in "abcd" if memory.find(key) is not None]


def test_the_least_recently_used_goes_first() -> None:
    memory: BoundedMemory[str, str] = BoundedMemory(100, len)
    for key in ("a", "b", "c"):
        memory.record(key, "x" * 33)
    assert memory.find("a") == "x" * 33
    memory.record("d", "x" * 33)
    assert kept(memory) == ["a", "c", "d"]
    assert memory.size == 99


def test_a_value_takes_the_place_of_its_earlier_self() -> None:
    memory: BoundedMemory[str, str] = BoundedMemory(100, len)
    memory.record("a", "x" * 60)
    memory.record("a", "x" * 70)
    assert memory.size == 70


def test_a_value_larger_than_everything_is_not_kept_nor_what_it_was_before() -> None:
    memory: BoundedMemory[str, str] = BoundedMemory(100, len)
    memory.record("a", "x" * 50)
    memory.record("b", "x" * 40)
    memory.record("a", "x" * 101)
    assert kept(memory) == ["b"]


def test_without_sizes_values_are_counted() -> None:
    memory: BoundedMemory[str, str] = BoundedMemory(2)
    for key in ("a", "b", "c"):
        memory.record(key, key)
    assert kept(memory) == ["b", "c"]


def test_what_is_forgotten_makes_room() -> None:
    memory: BoundedMemory[str, str] = BoundedMemory(2)
    for key in ("a", "b"):
        memory.record(key, key)
    memory.forget("b")
    memory.forget("b")
    memory.record("c", "c")
    assert kept(memory) == ["a", "c"]
