"""Work that is done side by side."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


_TURNS = 4
"""Of the event loop, that a task begun now takes until its first call is on its way."""


async def send_calls() -> None:
    """Return once the calls of tasks that were begun just now are on their way.

    What follows may take long: the peers answer meanwhile.
    """
    for _ in range(_TURNS):
        await asyncio.sleep(0)


async def do_all(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return what every one returns, in their order; once one fails, the others are cancelled.

    `asyncio.gather` leaves them running, for nobody.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def each_when_done(
    works: Iterable[Coroutine[Any, Any, T]],
) -> AsyncIterator[tuple[int, T]]:
    """Yield what every one returns with its number, as they end.

    Once one fails, or nobody reads on, the others are cancelled.
    """
    numbers = {asyncio.create_task(work): number for number, work in enumerate(works)}
    waiting: set[asyncio.Task[T]] = set(numbers)
    try:
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=numbers.__getitem__):
                yield numbers[task], task.result()
    finally:
        for task in numbers:
            task.cancel()
        await asyncio.gather(*numbers, return_exceptions=True)
