"""Work done side by side ends together."""

import asyncio

import pytest

from mesh.tasks import do_all


async def test_results_come_in_order() -> None:
    async def answer(number: int) -> int:
        return number

    assert await do_all(answer(number) for number in range(3)) == [0, 1, 2]
    assert await do_all([]) == []


async def test_one_failure_ends_what_still_runs() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def fail() -> None:
        await begun.wait()
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await do_all([wait(), fail()])
    assert ended.is_set()
