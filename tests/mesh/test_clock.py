"""Both clocks keep one contract."""

import asyncio
from datetime import UTC

import pytest

from mesh.clock import Clock, SystemClock
from mesh.testing import FakeClock


@pytest.fixture(params=[SystemClock, FakeClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    clock: Clock = request.param()
    return clock


async def pass_time(clock: Clock, task: asyncio.Task[None], seconds: float) -> None:
    if isinstance(clock, FakeClock):
        await clock.advance(seconds)
    await asyncio.wait_for(task, timeout=5)


async def test_a_sleep_ends_when_its_time_has_passed(clock: Clock) -> None:
    before, wall = clock.monotonic(), clock.now()
    await pass_time(clock, asyncio.create_task(clock.sleep(0.01)), 0.01)
    assert clock.monotonic() - before >= 0.01
    assert clock.now() > wall
    assert clock.now().tzinfo is UTC


async def test_a_sleep_does_not_end_before(clock: Clock) -> None:
    task = asyncio.create_task(clock.sleep(60))
    if isinstance(clock, FakeClock):
        await clock.advance(59)
    await asyncio.sleep(0)
    assert not task.done()
    task.cancel()


async def test_advance_wakes_sleepers_in_order_and_those_that_sleep_again() -> None:
    clock, woken = FakeClock(), []

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            woken.append((name, clock.monotonic()))

    tasks = [asyncio.create_task(sleeper("a", 2, 3)), asyncio.create_task(sleeper("b", 1))]
    await clock.advance(6)
    await asyncio.gather(*tasks)
    assert woken == [("b", 1), ("a", 2), ("a", 5)]
