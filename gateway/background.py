"""Loops that run as long as a gateway serves."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from mesh.clock import Clock

log = structlog.get_logger()

Loop = Callable[[], Coroutine[Any, Any, None]]

_PAUSE_SECONDS = 5.0


class Background:
    """Owns the tasks of loops; one that crashes is logged and starts again after a pause.

    Args:
        clock: Times the pause.
        loops: Each runs until it is cancelled.
    """

    def __init__(self, clock: Clock, *loops: Loop) -> None:
        self._clock = clock
        self._loops = loops
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start every loop."""
        self._tasks = [asyncio.create_task(self._keep_up(loop)) for loop in self._loops]

    async def close(self) -> None:
        """Cancel what runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep_up(self, loop: Loop) -> None:
        while True:
            try:
                await loop()
            except Exception:
                log.exception("loop_crashed")
            await self._clock.sleep(_PAUSE_SECONDS)
