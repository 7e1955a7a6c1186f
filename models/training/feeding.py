"""Batches made by other processes, for a device that trains faster than one core makes samples."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Protocol, Self

import torch
from tokenizers import Tokenizer
from torch import multiprocessing

from models.training.batches import Batch, batches
from models.training.tasks import WARM_MIX, stream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.queues import Queue
    from pathlib import Path
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

    from models.training.samples import Sample

    Packed = tuple[int, tuple[NDArray[np.generic], ...]]

_AHEAD = 8  # batches of each maker that may wait


class FeedPlan(Protocol):
    """What makers need to know of a plan."""

    @property
    def batch_tokens(self) -> int:
        """Most tokens of a batch, padding counted."""

    @property
    def makers(self) -> int:
        """How many processes."""


class Feed:
    """An endless source of batches; ends its processes when it is left.

    Args:
        tokenizer_file: Of the model.
        plan: How many makers, how large batches.
        seed: Each maker draws samples of its own from it.
        warm: Batches of the warm-up mix that come first, about.
    """

    def __init__(self, tokenizer_file: Path, plan: FeedPlan, *, seed: int, warm: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._queue: Queue[Packed] = context.Queue(_AHEAD * plan.makers)
        share = warm // plan.makers
        self._processes = [
            context.Process(
                target=_make,
                args=(tokenizer_file, plan.batch_tokens, (seed, maker), share, self._queue),
                daemon=True,
            )
            for maker in range(plan.makers)
        ]

    def __enter__(self) -> Self:
        """Start the makers."""
        for process in self._processes:
            process.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the makers."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches in the order in which they are made."""
        while True:
            first, (tokens, positions, *answers) = self._queue.get()
            shape = [torch.from_numpy(part).long() for part in (tokens, positions)]
            where, targets, weights = map(torch.from_numpy, answers)
            yield Batch(shape[0], shape[1], first, where, targets, weights)


def _make(
    tokenizer_file: Path,
    budget: int,
    seed: tuple[int, int],
    warm: int,
    queue: Queue[Packed],
) -> None:
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    number = hash(seed) % 2**32
    warmed, mixed = stream(number, WARM_MIX), stream(number + 1_000_000)
    made = 0

    def draw() -> Sample:
        return next(warmed if made < warm else mixed)

    for batch in batches(tokenizer, draw, budget, random.Random(number)):
        answers = (batch.where, batch.targets, batch.weights)
        small = (batch.tokens.short(), batch.positions.short())  # a vocabulary of 2,048
        queue.put((batch.first, tuple(part.numpy() for part in (*small, *answers))))
        made += 1
