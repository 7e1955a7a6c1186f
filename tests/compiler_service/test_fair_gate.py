"""Slots are shared fairly between projects, and queues are bounded."""

import asyncio

import pytest

from compiler_service.fair_gate import FairGate
from mesh.errors import CompileQueueFullError
from mesh.ids import ProjectId

A, B, C = ProjectId("a"), ProjectId("b"), ProjectId("c")


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
    visits = Visits(FairGate(1, per_project=9, total=99))
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
    visits = Visits(FairGate(2, per_project=9, total=9))
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
    visits = Visits(FairGate(1, per_project=2, total=3))
    async with asyncio.TaskGroup() as group:
        group.create_task(visits.visit(A, "first"))
        await settle()
        for project in projects[:-1] if limit == "queue_total" else projects[:2]:
            group.create_task(visits.visit(project, "waits"))
        await settle()
        with pytest.raises(CompileQueueFullError) as caught:
            await visits.visit(projects[-1], "refused")
        visits.leave.set()
    assert caught.value.metadata["limit"] == limit
    assert caught.value.retry_after_seconds is not None


async def test_one_who_gives_up_waiting_leaves_the_queue() -> None:
    visits = Visits(FairGate(1, per_project=9, total=9))
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
    visits = Visits(FairGate(1, per_project=9, total=9))
    visits.leave.set()
    async with asyncio.TaskGroup() as group:
        async with visits.gate.turn(A):
            gives_up = group.create_task(visits.visit(A, "a1"))
            group.create_task(visits.visit(A, "a2"))
            await settle()
        gives_up.cancel()  # its turn has come, and it has not noticed
    assert visits.entered == ["a2"]
    assert visits.gate.has_room
