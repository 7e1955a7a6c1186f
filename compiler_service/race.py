"""Two ways to the same thing, started together."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def first_result(*ways: Coroutine[Any, Any, T | None]) -> T | None:
    """Return the first result that is not None, the others cancelled; None if all are.

    Raises:
        Exception: The first that a way raises before there is a result.
    """
    waiting = {asyncio.create_task(way) for way in ways}
    try:
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            results = [task.result() for task in done]
            found = next((result for result in results if result is not None), None)
            if found is not None:
                return found
        return None
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
