"""Which sequences have a place for keys and values, and which of them decode."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from mesh.errors import QueueFullError
from sampler_service.openings import SequenceKey
from sampler_service.prompt_turns import PromptTurns
from sampler_service.runner import Slot
from sampler_service.sequence import Sequence

_Project = str
_Order = tuple[bool, int, int]


class Roster:
    """All live sequences of a worker, and in which order they are served.

    The first sequence of each project goes before anybody's second, whatever the tiers, so that
    whoever sends many, or long ones, waits for its own and not everybody for it. Among the first,
    and then among all others, tiers go before each other; within a tier projects take turns, and
    each project's own come by arrival. The salt of a sequence tells its project.

    A sequence has no place, then one, then one and a turn to decode. One that waits (for its index
    or a late mask, or paused) has no turn, and loses its place when others need it; so does one
    without a turn, when a project comes that has no place. It is computed again later.

    Args:
        places: Slots for keys and values.
        turns: Most sequences that decode together.
        max_waiting: Most sequences without a place.
    """

    def __init__(self, *, places: int, turns: int, max_waiting: int) -> None:
        self._sequences: dict[SequenceKey, Sequence] = {}
        self._held: Counter[_Project] = Counter()
        """Places of each project."""
        self._free = [Slot(number) for number in reversed(range(places))]
        self._turns = min(turns, places)
        self._max_waiting = max_waiting
        self.prompt_turns = PromptTurns()

    def __iter__(self) -> Iterator[Sequence]:
        return iter(self._sequences.values())

    def __len__(self) -> int:
        return len(self._sequences)

    @property
    def turns(self) -> int:
        """Most sequences that decode together."""
        return self._turns

    @property
    def waiting_count(self) -> int:
        """How many have no place."""
        return len(self._sequences) - self._held.total()

    def find(self, key: SequenceKey) -> Sequence | None:
        """Return a live sequence."""
        return self._sequences.get(key)

    def add(self, sequence: Sequence) -> None:
        """Take a sequence in.

        Raises:
            QueueFullError: Too many wait.
        """
        if self.waiting_count >= self._max_waiting + len(self._free):
            raise QueueFullError(
                "The worker's queue is full.",
                metadata={"limit": "max_waiting", "maximum": str(self._max_waiting)},
                retry_after_seconds=1.0,
            )
        self._sequences[sequence.key] = sequence

    def remove(self, sequence: Sequence) -> Slot | None:
        """Drop a sequence; return the slot that it had."""
        del self._sequences[sequence.key]
        return self._take_place(sequence)

    def waiting(self) -> list[Sequence]:
        """Return who has no place, the next one first."""
        return _in_turn((s for s in self if s.slot is None), _by_arrival, self._held)

    def placed(self) -> list[Sequence]:
        """Return who has a place, the first to serve first."""
        return _in_turn((s for s in self if s.slot is not None), _by_arrival)

    def prompts(self) -> list[Sequence]:
        """Return who has a place, and a prompt that is not computed yet; the next one first."""
        return _in_turn((s for s in self if s.slot is not None and not s.prefilled), _by_arrival)

    def place_next(self) -> Sequence | None:
        """Give a free place to whoever is next, and return who that is; None if nobody."""
        if not self._free or not self.waiting_count:
            return None
        # whoever can make tokens goes before whoever would only wait in the place
        chosen = min(self.waiting(), key=lambda sequence: not sequence.runnable)
        chosen.slot = self._free.pop()
        self._held[_project(chosen)] += 1
        return chosen

    def evict(self) -> Slot | None:
        """Take the place of a sequence without a turn, if another one has more use for it.

        Returns:
            The slot, which is free now.
        """
        if self._free or not self.waiting_count:
            return None
        able = [s for s in self if s.slot is None and s.runnable]
        if not able:
            return None
        is_newcomer = any(not self._held[_project(sequence)] for sequence in able)
        evicted = self._find_idle() or (self._find_spare() if is_newcomer else None)
        return None if evicted is None else self._take_place(evicted)

    def _find_idle(self) -> Sequence | None:
        """Return who waits in its place, while fewer than have turns could make tokens."""
        placed = self.placed()
        idle = [sequence for sequence in placed if not sequence.runnable]
        return idle[-1] if idle and len(placed) - len(idle) < self._turns else None

    def _find_spare(self) -> Sequence | None:
        """Return the last who had no turn, of projects with several places."""
        spare = [s for s in self.placed() if not s.decoding and self._held[_project(s)] > 1]
        return spare[-1] if spare else None

    def give_turns(self) -> list[Sequence]:
        """Return whose tokens are computed in this step.

        First who decodes, of each project those first who did before; then who waits for an index,
        for the first logits.
        """
        able = [s for s in self if s.slot is not None and s.computable]
        chosen = able if len(able) <= self._turns else self._choose(able)
        for sequence in self:
            sequence.decoding = False
        for sequence in chosen:
            sequence.decoding = sequence.bound
        return chosen

    def _choose(self, able: list[Sequence]) -> list[Sequence]:
        """Return as many as have turns."""
        runnable = _in_turn((s for s in able if s.bound), _by_turn)
        ahead = _in_turn((s for s in able if not s.bound), _by_arrival)
        return [*runnable, *ahead][: self._turns]

    def _take_place(self, sequence: Sequence) -> Slot | None:
        slot = sequence.lose_place()
        if slot is not None:
            self._free.append(slot)
            self._held -= Counter([_project(sequence)])  # forgets who has none
        return slot


def _in_turn(
    sequences: Iterable[Sequence],
    own_order: Callable[[Sequence], tuple[int, ...]],
    held: Counter[_Project] | None = None,
) -> list[Sequence]:
    """Return sequences in the order in which they are served.

    Args:
        sequences: Of any projects.
        own_order: Of one project's.
        held: How many each project has already.
    """
    before = Counter(held)
    orders: dict[SequenceKey, _Order] = {}
    ordered = sorted(sequences, key=own_order)
    for sequence in ordered:
        number, tier = before[_project(sequence)], sequence.order[0]
        before[_project(sequence)] += 1
        orders[sequence.key] = (number > 0, tier, number)
    return sorted(ordered, key=lambda sequence: orders[sequence.key])


def _project(sequence: Sequence) -> _Project:
    return sequence.opening.salt


def _by_arrival(sequence: Sequence) -> tuple[int, int]:
    return sequence.order


def _by_turn(sequence: Sequence) -> tuple[int, int, int]:
    return (not sequence.decoding, *sequence.order)
