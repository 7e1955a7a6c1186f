"""Slots are shared fairly between projects, and queues are bounded."""

import asyncio

import pytest

from mesh.errors import QueueFullError
from mesh.fair_gate import FairGate
from mesh.ids import ProjectId

A, B, C = ProjectId("a"), ProjectId("b"), ProjectId("c")


def refuse(limit: str, maximum: int, value: int) -> QueueFullError:
    facts = {"limit": limit, "maximum": str(maximum), "value": str(value)}
    return QueueFullError("Full.", metadata=facts)


def gate_of(slots: int, **bounds: int) -> FairGate:
    return FairGate(slots, refuse=refuse, **{"per_project": 9, "total": 99, **bounds})


class Visits:
    def __init__(self, gate: FairGate) -> None:
        self.gate = gate
        self.entered: list[str] = []
        self.leave = asyncio.Event()

    async def visit(self, project: ProjectId, name: str) -> None:
        async with self.gate.turn(project):
            self.entered.append(name)
            await self.leave.wait()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_projects_take_turns_whatever_the_length_of_their_queues() -> None:
    visits = Visits(gate_of(1))
    async with asyncio.TaskGroup() as group:
        for project, name in ((A, "a1"), (A, "a2"), (A, "a3"), (B, "b1"), (C, "c1"), (B, "b2")):
            group.create_task(visits.visit(project, name))
            await settle()
        assert visits.entered == ["a1"]
        assert visits.gate.waiting == 5
        visits.leave.set()
    assert visits.entered == ["a1", "a2", "b1", "c1", "a3", "b2"]
    assert visits.gate.has_room


async def test_as_many_enter_as_there_are_slots() -> None:
    visits = Visits(gate_of(2))
    async with asyncio.TaskGroup() as group:
        for name in ("1", "2", "3"):
            group.create_task(visits.visit(A, name))
        await settle()
        assert visits.entered == ["1", "2"]
        visits.leave.set()


@pytest.mark.parametrize(
    ("projects", "limit"), [([A, A, A], "queue_per_project"), ([A, B, C, A], "queue_total")]
)
async def test_a_full_queue_refuses_by_limit(projects: list[ProjectId], limit: str) -> None:
    visits = Visits(gate_of(1, per_project=2, total=3))
    async with asyncio.TaskGroup() as group:
        group.create_task(visits.visit(A, "first"))
        await settle()
        for project in projects[:-1] if limit == "queue_total" else projects[:2]:
            group.create_task(visits.visit(project, "waits"))
        await settle()
        with pytest.raises(QueueFullError) as caught:
            await visits.visit(projects[-1], "refused")
        visits.leave.set()
    most = {"queue_per_project": "2", "queue_total": "3"}[limit]
    assert (caught.value.metadata["limit"], caught.value.metadata["maximum"]) == (limit, most)


async def test_one_who_gives_up_waiting_leaves_the_queue() -> None:
    visits = Visits(gate_of(1))
    async with asyncio.TaskGroup() as group:
        group.create_task(visits.visit(A, "a1"))
        await settle()
        gives_up = group.create_task(visits.visit(B, "b1"))
        group.create_task(visits.visit(B, "b2"))
        await settle()
        gives_up.cancel()
        await settle()
        assert visits.gate.waiting == 1
        visits.leave.set()
    assert visits.entered == ["a1", "b2"]


async def test_one_who_gives_up_at_its_turn_hands_the_slot_on() -> None:
    visits = Visits(gate_of(1))
    visits.leave.set()
    async with asyncio.TaskGroup() as group:
        async with visits.gate.turn(A):
            gives_up = group.create_task(visits.visit(A, "a1"))
            group.create_task(visits.visit(A, "a2"))
            await settle()
        gives_up.cancel()  # its turn has come, and it has not noticed
    assert visits.entered == ["a2"]
    assert visits.gate.has_room


async def test_a_project_never_has_all_slots_where_that_is_asked() -> None:
    visits = Visits(gate_of(2, inside_per_project=1))
    async with asyncio.TaskGroup() as group:
        for project, name in ((A, "a1"), (A, "a2"), (B, "b1")):
            group.create_task(visits.visit(project, name))
            await settle()
        assert visits.entered == ["a1", "b1"]
        group.create_task(visits.visit(C, "c1"))
        await settle()
        visits.leave.set()
    assert visits.entered == ["a1", "b1", "a2", "c1"]
    assert visits.gate.has_room


async def test_one_who_gives_up_while_a_slot_is_handed_on_is_passed_over() -> None:
    visits = Visits(gate_of(1))
    visits.leave.set()
    async with asyncio.TaskGroup() as group, visits.gate.turn(A):
        gives_up = group.create_task(visits.visit(A, "a1"))
        group.create_task(visits.visit(A, "a2"))
        await settle()
        gives_up.cancel()  # it has not noticed when the slot is handed on
    assert visits.entered == ["a2"]
    assert visits.gate.has_room
