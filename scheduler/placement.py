"""Which worker a request goes to: one that holds its prefix, else the least loaded."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.records import Place

# How much fuller than the emptiest worker, as a share of its slots, a prefix's holder may be once
# its slots are taken: a cached prefix saves a prefill, a long wait costs more.
_AFFINITY_SLACK = 0.25

_MOST_KEPT = 8  # sequences beyond a worker's capacity, for projects that hold nothing there


@dataclass(frozen=True)
class Candidate:
    """A worker that could take a request, as load goes."""

    place: Place
    slots: int
    capacity: int
    """Most live sequences."""
    granted: int
    """Sequences of leases that count on it, of each project no more than its share."""
    waiting: int = 0
    """Sequences that it says wait for a slot."""
    own: int = 0
    """Sequences of the project that asks, whatever their number."""

    @property
    def load(self) -> float:
        """Granted sequences per slot."""
        return self.granted / self.slots

    @property
    def share(self) -> int:
        """Most sequences of one project."""
        return share_of(self.slots, self.capacity)

    def fits(self, choices: int) -> bool:
        """Whether that many more fit; a request of more gets in where its project has no other."""
        is_within_share = self.own == 0 or self.own + choices <= self.share
        return is_within_share and self._with(choices) <= self.capacity

    def fits_newcomer(self, choices: int) -> bool:
        """Whether that many fit into what is kept for projects that hold nothing."""
        kept = min(self.slots // 2, _MOST_KEPT)
        return self.own == 0 and self._with(choices) <= self.capacity + kept

    def _with(self, choices: int) -> int:
        counted = min(self.own, self.share)
        return self.granted - counted + min(self.own + choices, self.share)


def share_of(slots: int, capacity: int) -> int:
    """Return how many live sequences of one project count on a worker.

    It leaves room for others beside it, and each a turn: a larger request holds up its own project.
    """
    return capacity - slots // 2


def capacity_of(slots: int, oversubscription: float) -> int:
    """Return how many live sequences a worker with this many slots may hold."""
    return int(slots * oversubscription)


def choose(
    candidates: Sequence[Candidate],
    choices: int,
    holder: Place | None = None,
    avoid: Place | None = None,
) -> Place | None:
    """Return where a request goes, or None while nobody has room.

    Args:
        candidates: Ready workers of its snapshot.
        choices: Sequences that it will open.
        holder: The worker that last got a prompt with the same prefix.
        avoid: A worker that just failed it; taken where no other has room.
    """
    fitting = [candidate for candidate in candidates if candidate.fits(choices)]
    fitting = fitting or [one for one in candidates if one.fits_newcomer(choices)]
    if not fitting:
        return None
    fitting = [candidate for candidate in fitting if candidate.place != avoid] or fitting
    best = min(fitting, key=lambda candidate: (candidate.load, candidate.waiting))
    for candidate in fitting:
        if candidate.place == holder and not _overloaded(candidate, best, choices):
            return candidate.place
    return best.place


def _overloaded(holder: Candidate, best: Candidate, choices: int) -> bool:
    has_slots = holder.granted + choices <= holder.slots
    return not has_slots and holder.load > best.load + _AFFINITY_SLACK


class PrefixHolders:
    """Which worker last got which prefix: the most recent ones.

    Args:
        maximum: Most prefixes remembered.
    """

    def __init__(self, maximum: int = 10_000) -> None:
        self._maximum = maximum
        self._places: OrderedDict[str, Place] = OrderedDict()

    def find(self, affinity: str) -> Place | None:
        """Return the worker that holds a prefix, where one is known."""
        return self._places.get(affinity)

    def record(self, affinity: str, place: Place) -> None:
        """Remember who got a prefix; an empty affinity is none."""
        if not affinity:
            return
        self._places[affinity] = place
        self._places.move_to_end(affinity)
        if len(self._places) > self._maximum:
            self._places.popitem(last=False)
