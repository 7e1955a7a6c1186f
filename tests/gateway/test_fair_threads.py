"""One project's long work holds up no other's, and what waits is bounded."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.config import GatewayConfig
from gateway.errors import OverloadedError, ProjectBusyError
from gateway.fair_threads import FairThreads
from mesh.ids import ProjectId

A, B, C = ProjectId("a"), ProjectId("b"), ProjectId("c")
CONFIG = GatewayConfig(render_threads=2, render_queue_per_project=2, render_queue_total=3)


@pytest.fixture
async def threads() -> AsyncIterator[FairThreads]:
    made = FairThreads(CONFIG)
    yield made
    made.close()


class Slow:
    """Work that goes on until the test says so."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Event()

    def __call__(self) -> str:
        self.begun.release()
        self.go_on.wait(20)
        return "done"

    async def wait_until_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.acquire, timeout=20)


async def start(threads: FairThreads, project: ProjectId, work: Callable[[], str]) -> asyncio.Task:  # type: ignore[type-arg] # of a text
    task = asyncio.create_task(threads.run(project, work))
    await asyncio.sleep(0)
    return task


async def test_a_project_with_much_long_work_holds_up_nobody(threads: FairThreads) -> None:
    slow = Slow()
    running = [await start(threads, A, slow) for _ in range(3)]
    await slow.wait_until_begun()
    assert await threads.run(B, lambda: "short") == "short"
    assert not any(task.done() for task in running)
    slow.go_on.set()
    assert await asyncio.gather(*running) == ["done"] * 3


async def test_too_much_that_waits_is_refused_by_its_limit(threads: FairThreads) -> None:
    slow = Slow()
    running = [await start(threads, A, slow) for _ in range(3)]
    with pytest.raises(ProjectBusyError, match="at most 2") as busy:
        await threads.run(A, slow)
    assert busy.value.metadata["limit"] == "render_queue_per_project"
    running += [await start(threads, B, slow), await start(threads, B, slow)]
    with pytest.raises(OverloadedError) as full:
        await threads.run(C, slow)
    assert full.value.metadata["limit"] == "render_queue_total"
    slow.go_on.set()
    assert await asyncio.gather(*running) == ["done"] * 5


async def test_a_thread_whose_client_has_left_is_taken_until_it_is_done(
    threads: FairThreads,
) -> None:
    slow, next_one = Slow(), Slow()
    leaving = await start(threads, A, slow)
    await slow.wait_until_begun()
    leaving.cancel()
    await asyncio.wait({leaving})
    waiting = await start(threads, A, next_one)
    assert not next_one.begun.acquire(blocking=False)
    next_one.go_on.set()
    slow.go_on.set()
    assert await waiting == "done"


async def test_what_the_work_raises_comes_back_and_frees_its_thread(threads: FairThreads) -> None:
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            await threads.run(A, lambda: 1 / 0)
