"""Sequences that decode on a GPU, and how their steps are timed."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sampler_service.llama import Llama
from sampler_service.native_runner import NativeRunner
from sampler_service.philox import Draw
from sampler_service.row_sampling import RowSampling
from sampler_service.runner import Row, Slot
from sampler_service.sampling import sample
from sampler_service.tile_forward import TileForward

PROMPT = 200  # tokens that a sequence has before it is timed


@dataclass(frozen=True)
class Size:
    """How much is done."""

    device: torch.device
    dtype: torch.dtype
    batches: tuple[int, ...]
    many: int
    steps: int
    checked: int
    threads: int

    @property
    def cuda(self) -> bool:
        """There is a GPU."""
        return self.device.type == "cuda"


def wait(size: Size) -> None:
    """Return when the device has done everything."""
    if size.cuda:
        torch.cuda.synchronize()


def time_work(size: Size, work: Callable[[], object], repetitions: int) -> float:
    """Return the median milliseconds of some work, on the device's clock where it has one."""
    for _ in range(3):
        work()
    wait(size)
    if not size.cuda:
        return float(np.median([_clocked(work) for _ in range(repetitions)]))
    pairs = []
    for _ in range(repetitions):
        pair = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        pair[0].record()
        work()
        pair[1].record()
        pairs.append(pair)
    wait(size)
    return float(np.median([start.elapsed_time(stop) for start, stop in pairs]))


def _clocked(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


class Decoding:
    """Sequences of some tokens each, in a runner of their own, moved by one token a step.

    Args:
        size: Of the measurement.
        model: The model.
        count: How many sequences.
        graphs: Launch tiles as graphs.
    """

    def __init__(self, size: Size, model: Llama, count: int, *, graphs: bool = True) -> None:
        self.size, self.count = size, count
        eager = None if graphs else _without_graphs
        self.runner = NativeRunner(model, slots=count, make_forward=eager)
        self.words = (model.vocabulary + 31) // 32
        self._nothing = np.full((count, self.words), -1, dtype=np.int32)
        self._threads = ThreadPoolExecutor(1)
        self._steps = 0
        for slot in range(count):
            self.runner.prefill(Slot(slot), [])
        for start in range(0, PROMPT, 50):  # without masks or logits
            for first in range(0, count, 16):
                slots = range(first, min(first + 16, count))
                rows = [Row(Slot(s), tuple(range(s + start, s + start + 50))) for s in slots]
                self.runner.step(rows, lambda: self._nothing[:0])

    def allow_all(self) -> NDArray[np.int32]:
        """Return masks that forbid nothing."""
        return self._nothing

    def rows(self) -> list[Row]:
        """Return a step's rows: any token of each sequence."""
        self._steps += 1
        tokens = [(7 * slot + self._steps) % 1000 + 1000 for slot in range(self.count)]
        return [Row(Slot(s), (token,), wants_logits=True) for s, token in enumerate(tokens)]

    def forget(self) -> None:
        """Cut the sequences back to their prompts."""
        for slot in range(self.count):
            self.runner.truncate(Slot(slot), PROMPT)

    def launch(self) -> None:
        """Start a step without masks, and forget it."""
        self.runner.step(self.rows(), lambda: self._nothing[:0])
        self.forget()

    def step(self, fill: Callable[[], NDArray[np.int32]], rows: list[RowSampling]) -> float:
        """Do a whole step; return its milliseconds."""
        start = time.perf_counter()
        masks = self._threads.submit(fill)
        logits = self.runner.step(self.rows(), masks.result)
        sample(logits.values, logits.masks, rows)
        return (time.perf_counter() - start) * 1e3


def _without_graphs(model: Llama, cache: Tensor) -> TileForward:
    from sampler_service.row_attention import RowAttention  # noqa: PLC0415 - needs triton

    return TileForward(model, cache, attend=RowAttention, capture=lambda work: work)


def sampled(count: int, step: int, temperature: float) -> list[RowSampling]:
    """Return how the rows of a step are sampled."""
    return [RowSampling(Draw(row, 0, step), temperature) for row in range(count)]
