"""A worker's batch that is kept full while it is measured; what measurements say."""

import time
from collections.abc import Callable, Sequence

from formwork_engine import Index

from sampler_service.batch import Batch
from sampler_service.openings import Opening, SamplingOptions, SequenceKey

Found = dict[str, object]
"""What a measurement or a check has found, by name."""


class FullBatch:
    """Whoever ends is followed by another under the same index.

    Args:
        batch: Empty.
        kinds: Of each sequence: its index; None: any text.
        clock: Times the steps, in seconds.
        prompt: Of every sequence.
    """

    def __init__(
        self,
        batch: Batch,
        kinds: Sequence[Index | None],
        clock: Callable[[], float] = time.perf_counter,
        prompt: Sequence[int] = range(1000, 1030),
    ) -> None:
        self.failed = self.tokens = 0
        self._batch = batch
        self._clock, self._prompt = clock, tuple(prompt)
        self._opened = 0
        self._of: dict[SequenceKey, Index | None] = {}
        for kind in kinds:
            self._open(kind)

    def step(self) -> float:
        """Return the milliseconds of a step."""
        start = self._clock()
        outputs, _ = self._batch.step()
        took = self._clock() - start
        for output in outputs:
            self.tokens += output.tokens
            self.failed += output.error is not None
            if output.is_last:
                self._open(self._of.pop(output.key))
        return took * 1e3

    def close(self) -> None:
        """Stop the batch."""
        self._batch.close()

    def _open(self, kind: Index | None) -> None:
        self._opened += 1
        key = SequenceKey(1, self._opened)
        options = SamplingOptions(temperature=1.0, seed=self._opened, max_tokens=80)
        opening = Opening(key, self._prompt, options, float("inf"), constrained=kind is not None)
        self._of[key] = kind
        self._batch.open(opening)
        if kind is not None:
            self._batch.bind(key, kind.cursor())


def deal(indexes: Sequence[Index], count: int) -> list[Index | None]:
    """Return what so many sequences are kept to: to each of the indexes in turn; any text."""
    return [indexes[number % len(indexes)] if indexes else None for number in range(count)]
