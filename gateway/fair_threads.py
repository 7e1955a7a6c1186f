"""Threads for work that would hold up the event loop, which projects take turns in."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gateway.config import GatewayConfig
from gateway.errors import OverloadedError, ProjectBusyError
from mesh.errors import FormworkError
from mesh.fair_gate import FairGate
from mesh.ids import ProjectId

T = TypeVar("T")

_RETRY_SECONDS = 1.0


class FairThreads:
    """A few threads; where there are several, no project ever has all of them.

    So the longest prompts of one project hold up a short one of another by one turn of others.

    Args:
        config: How many threads there are, and how much work may wait for them.
    """

    def __init__(self, config: GatewayConfig) -> None:
        count = config.render_threads
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="prompt")
        self._gate = FairGate(
            count,
            per_project=config.render_queue_per_project,
            total=config.render_queue_total,
            refuse=_refuse,
            inside_per_project=max(1, count - 1),
        )

    async def run(self, project_id: ProjectId, work: Callable[[], T]) -> T:
        """Return the result of the work, once its project's turn has come.

        A thread that works for somebody who has left is taken until it is done.

        Raises:
            ProjectBusyError, OverloadedError: Too much waits, of this project or at all.
        """
        await self._gate.enter(project_id)
        loop = asyncio.get_running_loop()

        def leave(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and all turns with it
                loop.call_soon_threadsafe(self._gate.leave, project_id)

        future = self._pool.submit(work)
        future.add_done_callback(leave)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _refuse(limit: str, maximum: int, value: int) -> FormworkError:
    facts = {"limit": f"render_{limit}", "maximum": str(maximum), "value": str(value)}
    if limit == "queue_total":
        return OverloadedError(
            "Too many prompts wait to be written.",
            metadata=facts,
            retry_after_seconds=_RETRY_SECONDS,
        )
    return ProjectBusyError(
        f"Rate limit reached: at most {maximum} prompts of your project may wait to be written.",
        metadata=facts,
        retry_after_seconds=_RETRY_SECONDS,
    )
