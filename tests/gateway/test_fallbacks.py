"""Which of an alias's snapshots answers."""

import pytest

from gateway.errors import RequestError
from gateway.fallbacks import first_served
from mesh.config import MeshConfig
from mesh.errors import FormworkError, NoWorkerError, QueueFullError
from mesh.ids import Snapshot

from .conftest import ALIAS, SNAPSHOT, open_bench

A, B, C = Snapshot("a"), Snapshot("b"), Snapshot("c")


class Mesh:
    """Begins on a snapshot that has no error; remembers who was asked, and whether to wait."""

    def __init__(self, **errors: FormworkError) -> None:
        self.errors = errors
        self.asked: list[tuple[str, bool]] = []

    async def begin(self, snapshot: Snapshot, has_fallback: bool) -> str:  # noqa: FBT001 - a double
        self.asked.append((snapshot, has_fallback))
        if snapshot in self.errors:
            raise self.errors[snapshot]
        return f"from {snapshot}"


async def test_the_first_serves_while_it_can() -> None:
    mesh = Mesh()
    assert await first_served((A, B), mesh.begin) == "from a"
    assert mesh.asked == [("a", True)]


async def test_the_next_serves_where_one_has_no_worker() -> None:
    mesh = Mesh(a=NoWorkerError("x"), b=NoWorkerError("x"))
    assert await first_served((A, B, C), mesh.begin) == "from c"
    assert mesh.asked == [("a", True), ("b", True), ("c", True)]


async def test_a_snapshot_alone_is_waited_for() -> None:
    mesh = Mesh()
    await first_served((A,), mesh.begin)
    assert mesh.asked == [("a", False)]


async def test_where_none_has_a_worker_the_first_is_waited_for() -> None:
    mesh = Mesh(a=NoWorkerError("of a"), b=NoWorkerError("of b"))
    with pytest.raises(NoWorkerError, match="of a"):
        await first_served((A, B), mesh.begin)
    assert mesh.asked == [("a", True), ("b", True), ("a", False)]


async def test_a_wrong_request_is_refused_by_the_first() -> None:
    mesh = Mesh(a=RequestError("of a"))
    with pytest.raises(RequestError):
        await first_served((A, B), mesh.begin)
    assert mesh.asked == [("a", True)]


async def test_a_fallback_that_cannot_do_what_is_asked_is_passed_over() -> None:
    mesh = Mesh(a=NoWorkerError("of a"), b=RequestError("b has no tools"))
    with pytest.raises(NoWorkerError, match="of a"):
        await first_served((A, B), mesh.begin)
    assert await first_served((A, B, C), mesh.begin) == "from c"


async def test_a_full_queue_is_no_reason_for_another_model() -> None:
    mesh = Mesh(a=QueueFullError("x"))
    with pytest.raises(QueueFullError):
        await first_served((A, B), mesh.begin)


async def test_the_answer_says_which_snapshot_made_it(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config, model={"snapshots": (SNAPSHOT, "other-1")}) as bench:
        bench.scheduler.absent = {SNAPSHOT}
        answer = await bench.client.chat.completions.create(**bench.chat())
        assert answer.model == "other-1"
        streamed = await bench.client.chat.completions.create(**bench.chat(stream=True))
        assert {chunk.model async for chunk in streamed} == {"other-1"}
        bench.scheduler.absent = set()
        answer = await bench.client.chat.completions.create(**bench.chat())
        assert answer.model == SNAPSHOT
        asked = [(request.snapshot, request.has_fallback) for request in bench.scheduler.acquired]
        assert asked[:2] == [(SNAPSHOT, True), ("other-1", True)]
        model = (await bench.get(f"/v1/models/{ALIAS}")).json()
        assert model["formwork"]["fallbacks"] == ["other-1"]


async def test_a_snapshot_that_was_named_is_not_replaced(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config, model={"snapshots": (SNAPSHOT, "other-1")}) as bench:
        bench.scheduler.absent = {SNAPSHOT}
        response = await bench.post({**bench.chat(), "model": SNAPSHOT})
        assert response.json()["error"]["code"] == "model_unavailable"
        assert [request.has_fallback for request in bench.scheduler.acquired] == [False]


async def test_nothing_is_charged_for_a_snapshot_that_did_not_serve(
    mesh_config: MeshConfig,
) -> None:
    async with open_bench(mesh_config, model={"snapshots": (SNAPSHOT, "other-1")}) as bench:
        bench.scheduler.absent = {SNAPSHOT}
        await bench.post(bench.chat())
        assert len(await bench.settled()) == 1
