"""What constraining costs on a GPU: steps of masked rows and of free ones; whole batches."""

import json
import time
from collections.abc import Iterator

import numpy as np
from formwork_engine import JsonSchema, Vocabulary, compile_index, fill_masks
from numpy.typing import NDArray

from bench.batch_masks import Walk, schema_of
from bench.gpu_decoding import Decoding, Found, Size, sampled
from mesh.clock import SystemClock
from sampler_service.batch import Batch
from sampler_service.config import SamplerConfig
from sampler_service.llama import Llama
from sampler_service.native_runner import NativeRunner
from sampler_service.openings import Opening, SamplingOptions, SequenceKey
from sampler_service.runner import Slot
from sampler_service.sequence import TokenRules

STEP_FUEL = 10_000


def time_masks(size: Size, model: Llama, vocabulary: Vocabulary) -> Found:
    """Part c: steps of constrained sequences and of free ones, one after the other."""
    count = size.many
    schemas = [JsonSchema(json.dumps(schema_of(seed))) for seed in range(min(count, 64))]
    indexes = [compile_index(schema, vocabulary) for schema in schemas]
    kinds = [Walk(index, seed) for seed, index in enumerate(indexes)]
    walks = [_Replay(kinds[number % len(kinds)], number % 23) for number in range(count)]
    free = vocabulary.text_mask | vocabulary.end_mask
    decoding = Decoding(size, model, count)
    filling: list[float] = []

    def fill_free() -> NDArray[np.int32]:
        out = np.zeros((count, decoding.words), dtype=np.int32)
        out[:] = free
        return out

    def fill() -> NDArray[np.int32]:
        start = time.perf_counter()
        out = np.zeros((count, decoding.words), dtype=np.int32)
        cursors = [walk.cursor for walk in walks]
        fill_masks(cursors, list(range(count)), out, size.threads, STEP_FUEL)
        filling.append((time.perf_counter() - start) * 1e3)
        return out

    times: dict[str, list[float]] = {"constrained": [], "free": []}
    for number in range(size.steps + 20):
        rows = sampled(count, number, 1.0)
        for name, work in (("constrained", fill), ("free", fill_free)):
            took = decoding.step(work, rows)
            if number >= 20:
                times[name].append(took)
        for walk in walks:
            walk.step()
        if number % 200 == 199:
            decoding.forget()
    found: Found = {}
    for name, taken in [*times.items(), ("masks alone", filling[20:])]:
        for quantile in (0.5, 0.99):
            key = f"{name}, batch {count}: p{quantile * 100:.0f} ms"
            found[key] = float(np.quantile(taken, quantile))
    difference = np.median(times["constrained"]) - np.median(times["free"])
    found["not hidden, at the median: ms"] = float(difference)
    found["not hidden, of a free step: %"] = float(100 * difference / np.median(times["free"]))
    return found


class _Replay:
    """Goes again and again through the tokens that a walk has found, from a place of its own."""

    def __init__(self, walk: Walk, ahead: int) -> None:
        self._walk, self._place = walk, 0
        self.cursor = walk.index.cursor()
        for _ in range(ahead):
            self.step()

    def step(self) -> None:
        """Take the next token."""
        self.cursor.advance(self._walk.tokens[self._place])
        self._place += 1
        if self._place == len(self._walk.tokens) or self.cursor.is_finished:
            self.cursor, self._place = self._walk.index.cursor(), 0


def time_batches(size: Size, model: Llama, vocabulary: Vocabulary) -> Found:
    """Part d: what a worker's loop makes, constrained or not, with sequences coming and going."""
    schemas = [JsonSchema(json.dumps(schema_of(seed))) for seed in range(32)]
    indexes = [compile_index(schema, vocabulary) for schema in schemas]
    found: Found = {}
    for count in sorted({size.batches[0], size.many}):
        runner = NativeRunner(model, slots=count)
        rules = TokenRules(vocabulary, runner.info.context, None)
        for name in ("constrained", "free"):
            config = SamplerConfig(
                slots=count, parked_slots=0, prefix_cache_bytes=0, mask_threads=size.threads
            )
            batch = Batch(runner, rules, config, SystemClock())
            load = _Load(batch, indexes if name == "constrained" else [])
            for _ in range(count):
                load.open()
            list(load.run(40))
            start = time.perf_counter()
            steps = list(load.run(size.steps))
            seconds = time.perf_counter() - start
            batch.close()
            for slot in range(count):
                runner.free(Slot(slot))
            tokens = sum(made for _, made in steps)
            times = [took for took, _ in steps]
            how = f"{name} batch {count}"
            found[f"{how}: tokens/s"] = tokens / seconds
            found[f"{how}: step p50 ms"], found[f"{how}: step p99 ms"] = (
                float(np.quantile(times, quantile)) for quantile in (0.5, 0.99)
            )
            found[f"{how}: failed"] = load.failed
    return found


class _Load:
    """Keeps a batch full: whoever ends is followed by another."""

    def __init__(self, batch: Batch, indexes: list[object]) -> None:
        self._batch, self._indexes = batch, indexes
        self._opened = 0
        self.failed = 0

    def open(self) -> None:
        """Begin a sequence."""
        self._opened += 1
        key = SequenceKey(1, self._opened)
        options = SamplingOptions(temperature=1.0, seed=self._opened, max_tokens=80)
        constrained = bool(self._indexes)
        prompt = tuple(range(1000, 1030))
        self._batch.open(Opening(key, prompt, options, float("inf"), constrained=constrained))
        if constrained:
            index = self._indexes[self._opened % len(self._indexes)]
            self._batch.bind(key, index.cursor())  # type: ignore[attr-defined] # an Index

    def run(self, steps: int) -> Iterator[tuple[float, int]]:
        """Return milliseconds and tokens of so many steps."""
        for _ in range(steps):
            start = time.perf_counter()
            outputs, _ = self._batch.step()
            took = (time.perf_counter() - start) * 1e3
            for output in outputs:
                self.failed += output.error is not None
                if output.is_last:
                    self.open()
            yield took, sum(output.tokens for output in outputs)
