"""Who goes next: service tiers in order with a floor, projects in turn, bounded throughout.

A tier is served before those below it, except that a waiting tier which has been passed over
`floor` times goes next: so nothing starves, and a flood in one tier costs the others a known share.
Within a tier the projects take turns, and within a project the first to come is the first to go.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from mesh.errors import QueueFullError
from mesh.ids import ProjectId
from scheduler.records import Tier

T = TypeVar("T")

_SMOOTHING = 0.2
_SHORTEST_RETRY_SECONDS = 0.5
_LONGEST_RETRY_SECONDS = 60.0
_UNKNOWN_PACE_SECONDS = 1.0


@dataclass(frozen=True)
class QueueLimits:
    """Bounds of one snapshot's queues."""

    capacity: Mapping[Tier, int]
    """Most that wait, by tier."""
    floor: Mapping[Tier, int]
    """Most grants that pass a waiting tier, by tier; a tier that is absent has no floor."""


class TierQueues(Generic[T]):
    """What waits for one snapshot; a ticket is any hashable that is in here once.

    Args:
        limits: Bounds and floors.
    """

    def __init__(self, limits: QueueLimits) -> None:
        self._limits = limits
        self._lines: dict[Tier, _Line[T]] = {tier: _Line() for tier in Tier}
        self._passed = dict.fromkeys(Tier, 0)
        self._homes: dict[T, tuple[Tier, ProjectId]] = {}
        self._pace = Pace()

    def __len__(self) -> int:
        return len(self._homes)

    def add(self, tier: Tier, project: ProjectId, ticket: T) -> None:
        """Let a ticket wait.

        Raises:
            QueueFullError: The tier's queue is full; says when to try again.
        """
        maximum = self._limits.capacity[tier]
        if len(self._lines[tier]) >= maximum:
            raise QueueFullError(
                f"The queue of service tier '{tier}' is full.",
                metadata={"limit": f"queue_{tier}", "maximum": str(maximum)},
                retry_after_seconds=self.wait_seconds(tier),
            )
        self._lines[tier].add(project, ticket)
        self._homes[ticket] = (tier, project)

    def peek(self) -> T | None:
        """Return who goes next, who stays in its place until `take`."""
        tier = self._next_tier()
        return None if tier is None else self._lines[tier].first()

    def take(self, now: float) -> T | None:
        """Remove and return who goes next.

        Args:
            now: Monotonic seconds, from which the pace is learnt.
        """
        tier = self._next_tier()
        if tier is None:
            return None
        ticket = self._lines[tier].take()
        del self._homes[ticket]
        self._count(tier)
        self._pace.record(now)
        return ticket

    def firsts(self) -> Sequence[T]:
        """Return the first of each project in each tier, in the order of tiers and turns."""
        return [ticket for tier in Tier for ticket in self._lines[tier].firsts()]

    def discard(self, ticket: T) -> bool:
        """Remove a ticket that waits no longer; return whether it waited."""
        home = self._homes.pop(ticket, None)
        if home is None:
            return False
        tier, project = home
        self._lines[tier].discard(project, ticket)
        if not self._lines[tier]:
            self._passed[tier] = 0
        return True

    def sizes(self) -> Mapping[Tier, int]:
        """Return how many wait, by tier."""
        return {tier: len(line) for tier, line in self._lines.items()}

    def wait_seconds(self, tier: Tier) -> float:
        """Return about how long a newcomer to this tier would wait."""
        ahead = sum(len(line) for other, line in self._lines.items() if _rank(other) <= _rank(tier))
        return self._pace.estimate(ahead)

    def _next_tier(self) -> Tier | None:
        waiting = [tier for tier in Tier if self._lines[tier]]
        overdue = [tier for tier in waiting if self._overdue(tier) >= 1]
        if overdue:
            return max(overdue, key=self._overdue)
        return waiting[0] if waiting else None

    def _overdue(self, tier: Tier) -> float:
        floor = self._limits.floor.get(tier)
        return 0.0 if floor is None else self._passed[tier] / floor

    def _count(self, served: Tier) -> None:
        for tier, line in self._lines.items():
            self._passed[tier] = 0 if tier is served or not line else self._passed[tier] + 1


class Pace:
    """How fast tickets are taken, as an exponential average of the time between two."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._seconds: float | None = None

    def record(self, now: float) -> None:
        """Count one ticket taken at `now`, in monotonic seconds."""
        if self._last is not None:
            gap = now - self._last
            known = gap if self._seconds is None else self._seconds
            self._seconds = known + _SMOOTHING * (gap - known)
        self._last = now

    def estimate(self, ahead: int) -> float:
        """Return about how many seconds `ahead` tickets take, within what a client may be told."""
        each = _UNKNOWN_PACE_SECONDS if self._seconds is None else self._seconds
        return min(max(ahead * each, _SHORTEST_RETRY_SECONDS), _LONGEST_RETRY_SECONDS)


class _Line(Generic[T]):
    """One tier: a line for each project, the projects in turn."""

    def __init__(self) -> None:
        # Tickets of a project in a dict, for its order and its removal in constant time.
        self._projects: OrderedDict[ProjectId, dict[T, None]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, project: ProjectId, ticket: T) -> None:
        self._projects.setdefault(project, {})[ticket] = None
        self._size += 1

    def first(self) -> T:
        return next(iter(next(iter(self._projects.values()))))

    def firsts(self) -> list[T]:
        return [next(iter(tickets)) for tickets in self._projects.values()]

    def take(self) -> T:
        project, tickets = next(iter(self._projects.items()))
        ticket = next(iter(tickets))
        self.discard(project, ticket)
        if project in self._projects:
            self._projects.move_to_end(project)
        return ticket

    def discard(self, project: ProjectId, ticket: T) -> None:
        tickets = self._projects[project]
        del tickets[ticket]
        self._size -= 1
        if not tickets:
            del self._projects[project]


def _rank(tier: Tier) -> int:
    return list(Tier).index(tier)
