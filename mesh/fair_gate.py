"""A few slots, shared fairly between projects, with bounded queues."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from mesh.errors import FormworkError
from mesh.ids import ProjectId

Refuse = Callable[[str, int, int], FormworkError]
"""Makes the error of a full queue: of which limit, its maximum, and what one more would be."""


class FairGate:
    """Lets `slots` through at once; those who wait go project by project in turn.

    Args:
        slots: How many may be inside.
        per_project: How many of one project may wait.
        total: How many may wait.
        refuse: The error of who finds the queue full, `queue_per_project` or `queue_total`.
        inside_per_project: How many of one project may be inside; all of them if not given.
    """

    def __init__(
        self,
        slots: int,
        *,
        per_project: int,
        total: int,
        refuse: Refuse,
        inside_per_project: int | None = None,
    ) -> None:
        self._free = slots
        self._per_project = per_project
        self._total = total
        self._refuse = refuse
        self._most_inside = inside_per_project or slots
        self._inside: Counter[ProjectId] = Counter()
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
        """Hold a slot for the block; raises as `enter` does."""
        await self.enter(project)
        try:
            yield
        finally:
            self.leave(project)

    async def enter(self, project: ProjectId) -> None:
        """Take a slot, which `leave` gives back.

        Raises:
            FormworkError: As `refuse` makes it: too many wait, of this project or at all.
        """
        if self._may_enter(project):  # whoever waits may not: their projects have their most inside
            self._take(project)
            return
        turn = self._line_up(project)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the slot was ours already
                self.leave(project)
            else:
                self._withdraw(project, turn)
            raise

    def leave(self, project: ProjectId) -> None:
        """Give a slot back, to whoever is next."""
        self._free += 1
        self._inside[project] -= 1
        if not self._inside[project]:
            del self._inside[project]
        for waiting in list(self._queues):
            turn = self._next_of(waiting) if self._may_enter(waiting) else None
            if turn is not None:
                self._take(waiting)
                turn.set_result(None)

    def _may_enter(self, project: ProjectId) -> bool:
        return self._free > 0 and self._inside[project] < self._most_inside

    def _take(self, project: ProjectId) -> None:
        self._free -= 1
        self._inside[project] += 1

    def _next_of(self, project: ProjectId) -> asyncio.Future[None] | None:
        """Return a project's first that still waits, and put the project last in the round."""
        queue = self._queues.pop(project)
        while queue and queue[0].cancelled():  # it has given up, and not been told yet
            queue.popleft()
        turn = queue.popleft() if queue else None
        if queue:
            self._queues[project] = queue
        return turn

    def _line_up(self, project: ProjectId) -> asyncio.Future[None]:
        queue = self._queues.get(project, deque())
        for limit, maximum, value in (
            ("queue_per_project", self._per_project, len(queue)),
            ("queue_total", self._total, self.waiting),
        ):
            if value >= maximum:
                raise self._refuse(limit, maximum, value + 1)
        turn = asyncio.get_running_loop().create_future()
        self._queues.setdefault(project, queue).append(turn)
        return turn

    def _withdraw(self, project: ProjectId, turn: asyncio.Future[None]) -> None:
        queue = self._queues.get(project, deque())
        if turn in queue:
            queue.remove(turn)
        if not queue:
            self._queues.pop(project, None)
