"""What a step of a full batch costs the host, beside forward, masks and sampling.

    TEKKEN_JSON=.../tekken_240911.json python -m bench.batch_host [--batch 256] [--profile]

The forward is a double without numbers, and each token is any one that its mask allows; neither is
counted, nor is the wait for masks. Schemas and vocabulary are those of `batch_masks`. Steps of
constrained and of free sequences are timed alternately, and the figures are medians of the thread's
own time, so that a busy machine disturbs them little.
"""

import argparse
import cProfile
import json
import pstats
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from formwork_engine import Index, JsonSchema, Vocabulary, compile_index

import sampler_service.batch as batch_module
from bench.batch_masks import load_vocabulary, schema_of
from bench.full_batch import FullBatch, deal
from mesh.clock import SystemClock
from mesh.garbage import spare_what_is_loaded
from sampler_service.batch import Batch
from sampler_service.config import SamplerConfig
from sampler_service.row_sampling import RowSampling
from sampler_service.runner import KvBlock, Logits, Masks, Row, RunnerInfo, Slot
from sampler_service.sampling import Failure, Sampled
from sampler_service.sequence import TokenRules

Made = TypeVar("Made")


class Uncounted:
    """Sums up the time of what is not the batch's own."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def measure(self, work: Callable[[], Made]) -> Made:
        """Return what the work returns."""
        start = time.thread_time()
        try:
            return work()
        finally:
            self.seconds += time.thread_time() - start


class NoForward:
    """A runner whose logits have no numbers."""

    def __init__(self, slots: int, vocabulary: int, uncounted: Uncounted) -> None:
        self.info = RunnerInfo(slots, 1024, vocabulary, "none", "seeded", reuses_prefixes=False)
        self._uncounted = uncounted

    def prefill(self, slot: Slot, blocks: Sequence[KvBlock]) -> None:
        """Do nothing."""

    def step(self, rows: Sequence[Row], masks: Callable[[], Masks]) -> Logits:
        """Wait for the masks."""
        values = self._uncounted.measure(masks)
        wanted = sum(row.wants_logits for row in rows)
        return Logits(torch.zeros(wanted, 1), torch.from_numpy(values))

    def truncate(self, slot: Slot, length: int) -> None:
        """Do nothing."""

    def free(self, slot: Slot) -> None:
        """Do nothing."""

    def snapshot(self, slot: Slot, start: int) -> KvBlock:
        """Refuse."""
        raise NotImplementedError


def any_allowed(masks: torch.Tensor, rows: Sequence[RowSampling]) -> list[Sampled | Failure]:
    """Return a token of each mask, the same for the same draw."""
    tokens: list[Sampled | Failure] = []
    for mask, row in zip(masks.numpy(), rows, strict=True):
        words = np.flatnonzero(mask)
        if not len(words):  # late
            tokens.append(Failure.EMPTY_MASK)
            continue
        word = int(words[hash((row.draw.seed, row.draw.position)) % len(words)])
        bits = int(mask[word]) & 0xFFFFFFFF
        tokens.append(Sampled(32 * word + (bits & -bits).bit_length() - 1))
    return tokens


class Load:
    """A full batch over the double, whose steps are timed without what the double stands for."""

    def __init__(self, count: int, vocabulary: Vocabulary, indexes: Sequence[Index]) -> None:
        self.uncounted = Uncounted()
        runner = NoForward(count, vocabulary.size, self.uncounted)
        config = SamplerConfig(slots=count, parked_slots=0, prefix_cache_bytes=0, mask_threads=2)
        batch = Batch(runner, TokenRules(vocabulary, 1024, None), config, SystemClock())
        self.full = FullBatch(batch, deal(indexes, count), time.thread_time)

    def step(self) -> float:
        """Return the milliseconds of a step that are the batch's own."""
        self.uncounted.seconds = 0.0
        return self.full.step() - self.uncounted.seconds * 1e3


def main() -> None:
    """Time both kinds of steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    vocabulary = load_vocabulary()
    indexes = [compile_index(JsonSchema(json.dumps(schema_of(s))), vocabulary) for s in range(32)]
    kinds = {"constrained": indexes, "free": []}
    loads = {kind: Load(given.batch, vocabulary, of_kind) for kind, of_kind in kinds.items()}
    spare_what_is_loaded()  # as a worker does
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    profile = cProfile.Profile()

    def sample(_: torch.Tensor, masks: torch.Tensor, rows: Sequence[RowSampling]) -> object:
        return load.uncounted.measure(lambda: any_allowed(masks, rows))

    vars(batch_module)["sample"] = sample  # the double's logits have no numbers
    for number in range(given.steps + 40):
        for kind, load in loads.items():
            if given.profile and kind == "constrained" and number > 40:
                profile.enable()
            taken = load.step()
            profile.disable()
            if number >= 40:
                times[kind].append(taken)
    for kind, load in loads.items():
        full = load.full
        full.close()
        print(
            f"{kind:12} {np.median(times[kind]):8.2f} ms a step, p90 "
            f"{np.quantile(times[kind], 0.9):.2f}; {full.tokens / (given.steps + 40):.0f} tokens, "
            f"failed {full.failed}"
        )
    if given.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(32)


if __name__ == "__main__":
    main()
