"""Work done side by side ends together."""

import asyncio

import pytest

from mesh.tasks import do_all, each_when_done


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


async def test_each_is_told_when_it_is_done() -> None:
    gates = [asyncio.Event() for _ in range(3)]

    async def wait(number: int) -> int:
        await gates[number].wait()
        return number * 10

    told: list[tuple[int, int]] = []
    gates[2].set()
    async for number, value in each_when_done([wait(0), wait(1), wait(2)]):
        told.append((number, value))
        gates[1 if number == 2 else 0].set()
    assert told == [(2, 20), (1, 10), (0, 0)]


async def test_who_is_no_longer_listened_to_is_cancelled() -> None:
    cancelled: list[int] = []

    async def wait(number: int) -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(number)
            raise
        return number

    async def answer() -> int:
        return 7

    telling = each_when_done([wait(0), answer(), wait(2)])
    assert await anext(telling) == (1, 7)
    await telling.aclose()  # type: ignore[attr-defined] # it is a generator
    assert cancelled == [0, 2]
