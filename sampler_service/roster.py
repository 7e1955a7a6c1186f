"""Which sequences have a place for keys and values, and which of them decode."""

from collections.abc import Iterator

from mesh.errors import QueueFullError
from sampler_service.openings import SequenceKey
from sampler_service.runner import Slot
from sampler_service.sequence import Sequence


class Roster:
    """All live sequences of a worker, served by tier, then by arrival.

    A sequence has no place, then one, then one and a turn to decode. One that waits (for its index
    or a late mask, or paused) has no turn, and loses its place when others need it; it is computed
    again later.

    Args:
        places: Slots for keys and values.
        turns: Most sequences that decode together.
        max_waiting: Most sequences without a place.
    """

    def __init__(self, *, places: int, turns: int, max_waiting: int) -> None:
        self._sequences: dict[SequenceKey, Sequence] = {}
        self._free = [Slot(number) for number in reversed(range(places))]
        self._turns = min(turns, places)
        self._max_waiting = max_waiting

    def __iter__(self) -> Iterator[Sequence]:
        return iter(self._sequences.values())

    def __len__(self) -> int:
        return len(self._sequences)

    @property
    def turns(self) -> int:
        """Most sequences that decode together."""
        return self._turns

    def find(self, key: SequenceKey) -> Sequence | None:
        """Return a live sequence."""
        return self._sequences.get(key)

    def add(self, sequence: Sequence) -> None:
        """Take a sequence in.

        Raises:
            QueueFullError: Too many wait.
        """
        waiting = len(self.waiting())
        if waiting >= self._max_waiting + len(self._free):
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
        return sorted((s for s in self if s.slot is None), key=_by_order)

    def placed(self) -> list[Sequence]:
        """Return who has a place, the first to serve first."""
        return sorted((s for s in self if s.slot is not None), key=_by_order)

    def place_next(self) -> Sequence | None:
        """Give a free place to whoever is next, and return who that is; None if nobody."""
        if not self._free:
            return None
        # whoever can make tokens goes before whoever would only wait in the place
        waiting = sorted(self.waiting(), key=lambda sequence: not sequence.runnable)
        if not waiting:
            return None
        waiting[0].slot = self._free.pop()
        return waiting[0]

    def evict(self) -> Slot | None:
        """Take the place of a sequence that waits, if another one could use it at once.

        Returns:
            The slot, which is free now.
        """
        if self._free or not any(s.slot is None and s.runnable for s in self):
            return None
        placed = self.placed()
        idle = [sequence for sequence in placed if not sequence.runnable]
        if not idle or len(placed) - len(idle) >= self._turns:
            return None
        return self._take_place(idle[-1])

    def give_turns(self) -> list[Sequence]:
        """Return whose tokens are computed in this step.

        First who decodes: who did before and still can, then others; then who waits for an index,
        for the first logits.
        """
        able = [s for s in self.placed() if s.prefilled and (s.runnable or s.ahead)]
        able.sort(key=lambda sequence: (not sequence.decoding, not sequence.runnable))
        chosen = able[: self._turns]
        for sequence in self:
            sequence.decoding = False
        for sequence in chosen:
            sequence.decoding = sequence.runnable
        return chosen

    def _take_place(self, sequence: Sequence) -> Slot | None:
        slot = sequence.lose_place()
        if slot is not None:
            self._free.append(slot)
        return slot


def _by_order(sequence: Sequence) -> tuple[int, int]:
    return sequence.order
