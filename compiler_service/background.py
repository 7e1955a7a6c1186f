"""Work that outlives whoever asked for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from mesh.errors import FormworkError

T = TypeVar("T")

log = structlog.get_logger()


class BackgroundTasks:
    """Owns tasks until they end; one that crashes is logged."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Return a task for the work, which nobody has to wait for."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    async def drain(self, seconds: float) -> None:
        """Let what is under way end within `seconds`, then cancel the rest."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            error = task.exception()
            if not isinstance(error, FormworkError):  # those were raised to whoever waited
                log.error("compile_task_crashed", exc_info=error)
