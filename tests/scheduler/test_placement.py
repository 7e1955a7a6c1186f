"""Which worker a request goes to."""

from mesh.ids import WorkerId
from scheduler.placement import Candidate, PrefixHolders, capacity_of, choose
from scheduler.records import Place


def place(name: str) -> Place:
    return Place(WorkerId(name), f"{name}:1")


def candidate(
    name: str, granted: int, *, slots: int = 4, waiting: int = 0, own: int = 1
) -> Candidate:
    return Candidate(place(name), slots, 2 * slots, granted, waiting, own)


def test_the_least_loaded_worker_is_chosen_by_its_share() -> None:
    small, large = candidate("small", 2, slots=2), candidate("large", 3, slots=8)
    assert choose([small, large], 1) == large.place


def test_among_equals_the_one_where_fewer_wait() -> None:
    assert choose([candidate("a", 1, waiting=2), candidate("b", 1)], 1) == place("b")


def test_nobody_is_chosen_while_nobody_has_room() -> None:
    assert choose([candidate("a", 8), candidate("b", 7)], 2) is None
    assert choose([], 1) is None


def test_the_holder_of_the_prefix_is_chosen_while_it_has_a_slot() -> None:
    assert choose([candidate("a", 3), candidate("b", 0)], 1, place("a")) == place("a")


def test_an_overloaded_holder_is_passed_over() -> None:
    assert choose([candidate("a", 6), candidate("b", 0)], 1, place("a")) == place("b")


def test_a_holder_without_a_slot_is_kept_where_the_others_are_no_emptier() -> None:
    assert choose([candidate("a", 5), candidate("b", 4)], 1, place("a")) == place("a")


def test_a_request_larger_than_a_worker_waits_for_those_of_its_own_project() -> None:
    assert choose([candidate("a", 1, own=1)], 100) is None
    assert choose([candidate("a", 0, own=0)], 100) == place("a")


def test_a_request_larger_than_a_worker_leaves_room_for_others() -> None:
    assert choose([candidate("a", 2, own=0)], 100) == place("a")
    assert choose([candidate("a", 6, own=0)], 2) == place("a")
    assert choose([candidate("a", 6, own=0)], 100) is None


def test_one_project_does_not_get_all_of_a_worker() -> None:
    assert choose([candidate("a", 5, own=5)], 1) == place("a")
    assert choose([candidate("a", 6, own=6)], 1) is None


def test_room_is_kept_for_projects_without_any() -> None:
    assert choose([candidate("a", 8, own=0)], 2) == place("a")
    assert choose([candidate("a", 8, own=0)], 3) is None
    assert choose([candidate("a", 8, own=1)], 1) is None


def test_a_worker_that_failed_a_request_is_avoided_where_another_has_room() -> None:
    assert choose([candidate("a", 0), candidate("b", 5)], 1, avoid=place("a")) == place("b")
    assert choose([candidate("a", 0), candidate("b", 8)], 1, avoid=place("a")) == place("a")


def test_capacity_is_slots_times_oversubscription_rounded_down() -> None:
    assert capacity_of(3, 1.5) == 4


def test_the_oldest_prefixes_are_forgotten_and_an_empty_one_is_none() -> None:
    holders = PrefixHolders(maximum=2)
    holders.record("", place("a"))
    for affinity in ("x", "y", "x", "z"):
        holders.record(affinity, place(affinity))
    assert (holders.find(""), holders.find("y")) == (None, None)
    assert (holders.find("x"), holders.find("z")) == (place("x"), place("z"))
