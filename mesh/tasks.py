"""Work that is done side by side."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


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
