"""Step times of a worker's batch: 31 sequences, without and with a hostile one among them.

    TEKKEN_JSON=.../tekken_240911.json python bench/hostile_batch.py [--steps 300] [--pairs 3]

All of it is what a worker does (`sampler_service.batch`), but for the forward: a product of as many
numbers as the logits of the 131,072 tokens of that file take from 64 hidden ones. Run it on a
quiet machine with two free cores.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from formwork_engine import Index, JsonSchema, Vocabulary, compile_index

from bench.batch_masks import HOSTILE, IRREGULAR, load_vocabulary, schema_of
from mesh.clock import SystemClock
from sampler_service.batch import Batch
from sampler_service.config import SamplerConfig
from sampler_service.openings import Opening, SamplingOptions, SequenceKey
from sampler_service.runner import KvBlock, Logits, Masks, Row, RunnerInfo, Slot
from sampler_service.sequence import TokenRules

HIDDEN, OTHERS = 64, 31


class Product:
    """Stands in for a model: logits are a product of a matrix with what belongs to a token."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        random = torch.Generator().manual_seed(1)
        size = vocabulary.size
        self.info = RunnerInfo(64, 4096, size, "cpu/float32", "seeded", reuses_prefixes=False)
        self._known = torch.randn(size, HIDDEN, generator=random) / HIDDEN**0.5
        self._head = torch.randn(HIDDEN, size, generator=random)

    def prefill(self, slot: Slot, blocks: Sequence[KvBlock]) -> None:
        """Nothing is kept."""

    @torch.inference_mode()
    def step(self, rows: Sequence[Row], masks: Callable[[], Masks]) -> Logits:
        """Compute logits."""
        last = [row.tokens[-1] for row in rows if row.wants_logits]
        values = self._known[last] @ self._head
        return Logits(values, torch.from_numpy(masks()))

    def truncate(self, slot: Slot, length: int) -> None:
        """Nothing is kept."""

    def free(self, slot: Slot) -> None:
        """Nothing is kept."""

    def snapshot(self, slot: Slot, start: int) -> KvBlock:
        """Never asked for: the batch has no prefix cache."""
        raise NotImplementedError


class Load:
    """Keeps a batch full: whoever ends is followed by another."""

    def __init__(self, vocabulary: Vocabulary, indexes: Sequence[Index]) -> None:
        rules = TokenRules(vocabulary, 4096, None)
        config = SamplerConfig(slots=OTHERS + 1, prefix_cache_bytes=0)
        self.batch = Batch(Product(vocabulary), rules, config, SystemClock())
        self.failures: list[str] = []
        self._indexes = indexes
        self._opened = 0
        self._of: dict[SequenceKey, Index] = {}

    def open(self, index: Index) -> None:
        """Begin a sequence."""
        self._opened += 1
        key = SequenceKey(1, self._opened)
        options = SamplingOptions(seed=self._opened, max_tokens=200)
        prompt = (1000 + self._opened % 100,)
        self.batch.open(Opening(key, prompt, options, float("inf"), constrained=True))
        self.batch.bind(key, index.cursor())
        self._of[key] = index

    def run(self, steps: int) -> list[float]:
        """Return the seconds of so many steps."""
        times = []
        for _ in range(steps):
            start = time.perf_counter()
            outputs, _ = self.batch.step()
            times.append(time.perf_counter() - start)
            for output in outputs:
                if output.error is not None:
                    self.failures.append(output.error.message)
                if output.is_last:
                    self.open(self._of.pop(output.key))
        return times


def main() -> None:
    """Print the steps of both, in pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--pairs", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    vocabulary = load_vocabulary()

    def compiled(schema: object) -> Index:
        return compile_index(JsonSchema(json.dumps(schema)), vocabulary)

    usual = [compiled(schema_of(seed)) for seed in range(OTHERS)]
    for name, schema in (("one pattern", HOSTILE), ("irregular sets", IRREGULAR)):
        for pair in range(given.pairs):
            medians = []
            for hostile in ([], [compiled(schema)]):
                load = Load(vocabulary, usual)
                for index in [*usual, *hostile]:
                    load.open(index)
                load.run(40)
                p50, p99 = np.quantile(load.run(given.steps), [0.5, 0.99]) * 1e3
                medians.append(p99)
                load.batch.close()
                what = f"and a hostile one ({name})" if hostile else f"{OTHERS} sequences"
                failed = f", {len(load.failures)} failed" if load.failures else ""
                print(f"{what}: step p50 {p50:.1f} ms, p99 {p99:.1f} ms{failed}")
            print(f"  pair {pair + 1}: p99 {100 * (medians[1] / medians[0] - 1):+.0f} %")


if __name__ == "__main__":
    main()
