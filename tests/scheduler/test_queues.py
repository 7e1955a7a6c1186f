"""Who goes next."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import QueueFullError
from mesh.ids import ProjectId
from scheduler.queues import Pace, QueueLimits, TierQueues
from scheduler.records import Tier

FLOORS = {Tier.DEFAULT: 3, Tier.FLEX: 5, Tier.BATCH: 7}
LIMITS = QueueLimits(dict.fromkeys(Tier, 100), FLOORS)
P, Q = ProjectId("p"), ProjectId("q")


def take_all(queues: TierQueues[str]) -> list[str]:
    taken = []
    while (ticket := queues.take(0.0)) is not None:
        taken.append(ticket)
    return taken


def test_within_a_project_the_first_to_come_goes_first() -> None:
    queues: TierQueues[str] = TierQueues(LIMITS)
    for ticket in "abc":
        queues.add(Tier.DEFAULT, P, ticket)
    assert take_all(queues) == ["a", "b", "c"]


def test_a_project_that_comes_late_waits_for_one_turn_only() -> None:
    queues: TierQueues[str] = TierQueues(LIMITS)
    for index in range(5):
        queues.add(Tier.DEFAULT, P, f"p{index}")
    queues.add(Tier.DEFAULT, Q, "q0")
    assert take_all(queues)[:3] == ["p0", "q0", "p1"]


def test_peek_shows_who_take_takes() -> None:
    queues: TierQueues[str] = TierQueues(LIMITS)
    queues.add(Tier.BATCH, P, "b")
    queues.add(Tier.FLEX, P, "f")
    while (shown := queues.peek()) is not None:
        assert queues.take(0.0) == shown
    assert queues.take(0.0) is None


def test_a_waiting_tier_is_passed_over_no_more_often_than_its_floor() -> None:
    queues: TierQueues[str] = TierQueues(LIMITS)
    queues.add(Tier.DEFAULT, P, "d")
    for index in range(10):
        queues.add(Tier.PRIORITY, P, f"p{index}")
    assert take_all(queues).index("d") == FLOORS[Tier.DEFAULT]


def test_discarding_removes_wherever_it_waits_and_once() -> None:
    queues: TierQueues[str] = TierQueues(LIMITS)
    for ticket in "abc":
        queues.add(Tier.DEFAULT, P, ticket)
    assert queues.discard("b") is True
    assert queues.discard("b") is False
    assert take_all(queues) == ["a", "c"]


def test_a_full_tier_does_not_keep_the_others_out() -> None:
    queues: TierQueues[str] = TierQueues(QueueLimits(dict.fromkeys(Tier, 1), FLOORS))
    queues.add(Tier.FLEX, P, "f")
    with pytest.raises(QueueFullError, match="'flex' is full"):
        queues.add(Tier.FLEX, Q, "g")
    queues.add(Tier.DEFAULT, P, "d")
    assert len(queues) == 2


def test_the_time_to_try_again_grows_with_the_line_and_follows_the_pace() -> None:
    queues: TierQueues[int] = TierQueues(LIMITS)
    for ticket in range(30):
        queues.add(Tier.DEFAULT, P, ticket)
    for moment in range(10):
        queues.take(2.0 * moment)
    assert queues.wait_seconds(Tier.DEFAULT) == pytest.approx(20 * 2.0)
    assert queues.wait_seconds(Tier.PRIORITY) == 0.5
    assert queues.wait_seconds(Tier.BATCH) == pytest.approx(20 * 2.0)


def test_an_estimate_is_bounded_however_long_the_line() -> None:
    pace = Pace()
    pace.record(0.0)
    pace.record(1000.0)
    assert pace.estimate(500) == 60.0


actions = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from(list(Tier)), st.sampled_from([P, Q])),
        st.tuples(st.just("take"), st.none(), st.none()),
        st.tuples(st.just("discard"), st.integers(0, 30), st.none()),
    ),
    max_size=120,
)


@given(actions)
def test_nobody_is_lost_twice_or_starved(script: list[tuple[str, object, object]]) -> None:
    queues: TierQueues[int] = TierQueues(LIMITS)
    waiting: dict[int, Tier] = {}
    passed: Counter[Tier] = Counter()
    for number, (verb, what, project) in enumerate(script):
        if verb == "add":
            assert isinstance(what, Tier)
            queues.add(what, ProjectId(str(project)), number)
            waiting[number] = what
        elif verb == "discard":
            assert isinstance(what, int)
            assert queues.discard(what) is (waiting.pop(what, None) is not None)
        else:
            taken = queues.take(0.0)
            assert (taken is None) is (not waiting)
            if taken is not None:
                passed[waiting.pop(taken)] = -1
        for tier in Tier:
            passed[tier] += tier in waiting.values() if verb == "take" else 0
            if tier not in waiting.values():
                passed[tier] = 0
            # Its floor, and one turn for each other tier that is overdue at the same time.
            assert passed[tier] <= FLOORS.get(tier, 0) + len(Tier)
        assert len(queues) == len(waiting)
