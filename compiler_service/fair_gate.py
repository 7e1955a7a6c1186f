"""A few slots, shared fairly between projects, with bounded queues."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mesh.errors import CompileQueueFullError
from mesh.ids import ProjectId

_RETRY_SECONDS = 2.0


class FairGate:
    """Lets `slots` through at once; those who wait go project by project in turn.

    Args:
        slots: How many may be inside.
        per_project: How many of one project may wait.
        total: How many may wait.
    """

    def __init__(self, slots: int, *, per_project: int, total: int) -> None:
        self._free = slots
        self._per_project = per_project
        self._total = total
        self._queues: OrderedDict[ProjectId, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def has_room(self) -> bool:
        """A slot is free now."""
        return self._free > 0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(map(len, self._queues.values()))

    @asynccontextmanager
    async def turn(self, project: ProjectId) -> AsyncIterator[None]:
        """Hold a slot for the block.

        Raises:
            CompileQueueFullError: Too many wait, of this project or at all.
        """
        await self._enter(project)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, project: ProjectId) -> None:
        if self._free > 0:
            self._free -= 1
            return
        turn = self._line_up(project)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the slot was ours already
                self._leave()
            else:
                self._withdraw(project, turn)
            raise

    def _line_up(self, project: ProjectId) -> asyncio.Future[None]:
        queue = self._queues.get(project, deque())
        for limit, maximum, value in (
            ("queue_per_project", self._per_project, len(queue)),
            ("queue_total", self._total, self.waiting),
        ):
            if value >= maximum:
                raise CompileQueueFullError(
                    "Too many grammars wait to be compiled.",
                    metadata={"limit": limit, "maximum": str(maximum), "value": str(value + 1)},
                    retry_after_seconds=_RETRY_SECONDS,
                )
        turn = asyncio.get_running_loop().create_future()
        self._queues.setdefault(project, queue).append(turn)
        return turn

    def _withdraw(self, project: ProjectId, turn: asyncio.Future[None]) -> None:
        queue = self._queues[project]
        queue.remove(turn)
        if not queue:
            del self._queues[project]

    def _leave(self) -> None:
        """Hand the slot to the next project's first, and that project to the end of the round."""
        if self._queues:
            project, queue = self._queues.popitem(last=False)
            turn = queue.popleft()
            if queue:
                self._queues[project] = queue
            turn.set_result(None)
            return
        self._free += 1
