"""Step times of a worker's batch: 31 sequences, and a hostile one among them.

    TEKKEN_JSON=.../tekken_240911.json python bench/hostile_batch.py [--rounds 15] [--steps 20]

All of it is what a worker does (`sampler_service.batch`), but for the forward: a product of as many
numbers as the logits of the 131,072 tokens of that file take from 64 hidden ones. Run it on a
quiet machine with two free cores.

Four batches take turns, so that what the machine does meanwhile happens to each of them. In one,
another process works out the hostile masks at the lowest priority: what that costs is the price of
two cores that share a memory. What the hostile sequence costs beyond it is the worker's doing.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from formwork_engine import Index, JsonSchema, Vocabulary, compile_index, fill_masks
from formwork_engine.cursor import MaskStatus
from formwork_engine.errors import LimitReachedError

from bench.batch_masks import HOSTILE, IRREGULAR, load_vocabulary, schema_of
from bench.full_batch import FullBatch
from mesh.clock import SystemClock
from sampler_service.batch import Batch
from sampler_service.config import SamplerConfig
from sampler_service.runner import KvBlock, Logits, Masks, Row, RunnerInfo, Slot
from sampler_service.sequence import TokenRules

HIDDEN, OTHERS = 64, 31
MAX_SETTLING, WARMING = 200, 10.0
MAX_MASKS, POLLING = 100, 0.002


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
    """A batch of a worker that is kept full."""

    def __init__(self, vocabulary: Vocabulary, indexes: Sequence[Index]) -> None:
        rules = TokenRules(vocabulary, 4096, None)
        config = SamplerConfig(slots=OTHERS + 1, prefix_cache_bytes=0)
        self._batch = Batch(Product(vocabulary), rules, config, SystemClock())
        self.full = FullBatch(self._batch, indexes, prompt=[1000])
        self.run(40)
        self.settle()

    def run(self, steps: int) -> list[float]:
        """Return the milliseconds of so many steps."""
        return [self.full.step() for _ in range(steps)]

    def settle(self) -> None:
        """Go on until no mask is being worked out, so that the next to run has the machine."""
        for _ in range(MAX_SETTLING):
            if not self._batch.awaits_masks:
                return
            self.run(1)


def compiled(schema: object, vocabulary: Vocabulary) -> Index:
    """Return the index of a schema."""
    return compile_index(JsonSchema(json.dumps(schema)), vocabulary)


def work_apart(schema: object) -> None:
    """Work out masks of a schema for ever, behind everybody else."""
    os.nice(19)
    vocabulary = load_vocabulary()
    for seed in itertools.count():
        walk_freely(compiled(schema, vocabulary), seed)


def walk_freely(index: Index, seed: int) -> None:
    """Take any allowed tokens, up to an end of the text, or of what its masks may take."""
    random = np.random.default_rng(seed)
    cursor, mask = index.cursor(), np.zeros(index.vocabulary.words, dtype=np.int32)
    while not cursor.is_finished:
        try:
            cursor.fill_mask(mask)
        except LimitReachedError:
            return
        cursor.advance(any_allowed(mask, random))


def any_allowed(mask: Masks, random: np.random.Generator) -> int:
    """Return a token that a mask of shape (words,) allows."""
    bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
    return int(random.choice(np.flatnonzero(bits)))


class Neighbour:
    """Another process, that works out the masks of a schema while it is told to."""

    def __init__(self, schema: object) -> None:
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=work_apart, args=(schema,))
        self._process.start()
        time.sleep(WARMING)
        self.rest()

    def work(self) -> None:
        """Go on."""
        self._signal(signal.SIGCONT)

    def rest(self) -> None:
        """Stand still."""
        self._signal(signal.SIGSTOP)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.join()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.pid is None or not self._process.is_alive():
            raise SystemExit("the process beside the batch has ended")
        os.kill(self._process.pid, number)


@dataclass(frozen=True)
class Case:
    """A batch that is measured, and who works meanwhile."""

    name: str
    load: Load
    beside: Neighbour | None = None
    times: list[float] = field(default_factory=list)

    def measure(self, steps: int) -> None:
        """Run some steps."""
        if self.beside is not None:
            self.beside.work()
        self.times.extend(self.load.run(steps))
        if self.beside is not None:
            self.beside.rest()
        self.load.settle()

    def report(self, others: "Case") -> None:
        """Print its steps, and how they are beside those of another."""
        mine, theirs = (np.quantile(case.times, [0.5, 0.99]) for case in (self, others))
        ratios = 100 * (mine / theirs - 1)
        failed = f", {self.load.full.failed} failed" if self.load.full.failed else ""
        print(
            f"{self.name:55} p50 {mine[0]:6.1f} ms ({ratios[0]:+3.0f} %), "
            f"p99 {mine[1]:6.1f} ms ({ratios[1]:+3.0f} %){failed}"
        )


def report_masks(name: str, index: Index, fuel: int) -> None:
    """Print how long the masks of a sequence hold up a step, and how long they take in all."""
    random = np.random.default_rng(1)
    cursor, mask = index.cursor(), np.zeros((1, index.vocabulary.words), dtype=np.int32)
    held, waited = list[float](), list[float]()
    while len(waited) < MAX_MASKS:
        if cursor.is_finished:
            cursor = index.cursor()
        start, status = time.perf_counter(), MaskStatus.LATER
        while status is MaskStatus.LATER:
            before = time.thread_time()
            (status,) = fill_masks([cursor], [0], mask, step_fuel=fuel)
            held.append(time.thread_time() - before)
            time.sleep(POLLING)
        waited.append(time.perf_counter() - start)
        if status is MaskStatus.FAILED:
            break
        cursor.advance(any_allowed(mask[0], random))
    longest, (p50, p99) = max(held) * 1e3, np.quantile(waited, [0.5, 0.99]) * 1e3
    print(
        f"{name}: a mask holds up a step for {longest:.1f} ms at most; "
        f"it is there after {p50:.0f} ms at the median, {p99:.0f} at p99"
    )


def compare(name: str, schema: object, vocabulary: Vocabulary, rounds: int, steps: int) -> None:
    """Print the steps of batches without and with a hostile sequence."""
    usual = [compiled(schema_of(seed), vocabulary) for seed in range(OTHERS + 1)]
    hostile = [*usual[:OTHERS], compiled(schema, vocabulary)]
    neighbour = Neighbour(schema)
    cases = [
        Case(f"{OTHERS} sequences", Load(vocabulary, usual[:OTHERS])),
        Case("and an ordinary one", Load(vocabulary, usual)),
        Case("  while another process works", Load(vocabulary, usual), neighbour),
        Case(f"and a hostile one ({name})", Load(vocabulary, hostile)),
    ]
    for _ in range(rounds):
        for case in cases:
            case.measure(steps)
    for case in cases:
        case.report(cases[0])
        case.load.full.close()
    neighbour.close()


def main() -> None:
    """Print the steps of each batch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=20)
    given = parser.parse_args()
    torch.set_num_threads(1)
    vocabulary = load_vocabulary()
    for name, schema in (("one pattern", HOSTILE), ("irregular sets", IRREGULAR)):
        report_masks(name, compiled(schema, vocabulary), SamplerConfig().mask_step_fuel)
        compare(name, schema, vocabulary, given.rounds, given.steps)


if __name__ == "__main__":
    main()
