"""Batches made by other processes, for a device that trains faster than one core makes samples."""

from __future__ import annotations

import random
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Protocol, Self

import torch
from tokenizers import Tokenizer
from torch import multiprocessing

from models.training.batches import Batch, batches
from models.training.tasks import WARM_MIX, stream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from multiprocessing.connection import Connection
    from pathlib import Path
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

    from models.training.samples import Sample

    Packed = tuple[int, tuple[NDArray[np.generic], ...]]

_AHEAD = 8  # batches of each maker that may wait


class MakersLostError(Exception):
    """No process is left that makes batches."""


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

    Each has a pipe of its own, whose end tells that the process has ended, wherever it was.

    Args:
        tokenizer_file: Of the model.
        plan: How many makers, how large batches.
        seed: Each maker draws samples of its own from it.
        warm: Batches of the warm-up mix that come first, about.
    """

    def __init__(self, tokenizer_file: Path, plan: FeedPlan, *, seed: int, warm: int) -> None:
        context = multiprocessing.get_context("spawn")
        pipes = [context.Pipe(duplex=False) for _ in range(plan.makers)]
        self._readers = [reader for reader, _ in pipes]
        self._writers = [writer for _, writer in pipes]
        share = warm // plan.makers
        self._processes = [
            context.Process(
                target=_make,
                args=(tokenizer_file, plan.batch_tokens, (seed, maker), share, writer),
                daemon=True,
            )
            for maker, writer in enumerate(self._writers)
        ]

    def __enter__(self) -> Self:
        """Start the makers."""
        for process, writer in zip(self._processes, self._writers, strict=True):
            process.start()
            writer.close()  # the maker has its own
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
        for reader in self._readers:
            reader.close()

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches in the order in which they are made, about.

        Raises:
            MakersLostError: All makers have ended, which none does by itself.
        """
        living = list(self._readers)
        while living:
            ready = wait(living)
            for reader in [one for one in living if one in ready]:
                packed = _receive(reader)
                if packed is None:
                    living.remove(reader)
                else:
                    yield _unpack(packed)
        for process in self._processes:
            process.join()
        statuses = sorted({process.exitcode or 0 for process in self._processes})
        raise MakersLostError(
            f"All processes that make batches have ended, with the exit statuses {statuses}; what "
            "they said is above."
        )


def _receive(reader: Connection) -> Packed | None:
    """Return the next batch of a maker; None where it has ended."""
    try:
        packed: Packed = reader.recv()
    except (EOFError, OSError):  # the second: in the middle of a batch
        return None
    return packed


def _unpack(packed: Packed) -> Batch:
    first, (tokens, positions, *answers) = packed
    shape = [torch.from_numpy(part).long() for part in (tokens, positions)]
    where, targets, weights = map(torch.from_numpy, answers)
    return Batch(shape[0], shape[1], first, where, targets, weights)


def _make(
    tokenizer_file: Path,
    budget: int,
    seed: tuple[int, int],
    warm: int,
    writer: Connection,
) -> None:
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    number = hash(seed) % 2**32
    warmed, mixed = stream(number, WARM_MIX), stream(number + 1_000_000)
    made = 0
    sending: deque[Future[None]] = deque()

    def draw() -> Sample:
        return next(warmed if made < warm else mixed)

    with ThreadPoolExecutor(1) as sender:
        for batch in batches(tokenizer, draw, budget, random.Random(number)):
            sending.append(sender.submit(writer.send, _pack(batch)))
            if len(sending) > _AHEAD:
                sending.popleft().result()
            made += 1


def _pack(batch: Batch) -> Packed:
    answers = (batch.where, batch.targets, batch.weights)
    small = (batch.tokens.short(), batch.positions.short())  # a vocabulary of 2,048
    return batch.first, tuple(part.numpy() for part in (*small, *answers))
