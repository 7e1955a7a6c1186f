"""What constraining costs on a GPU: steps of masked rows and of free ones; whole batches."""

import json
import time

import numpy as np
from formwork_engine import JsonSchema, Vocabulary, compile_index, fill_masks
from numpy.typing import NDArray

from bench.batch_masks import Walk, schema_of
from bench.full_batch import Found, FullBatch, deal
from bench.gpu_decoding import Decoding, Size, sampled
from mesh.clock import SystemClock
from sampler_service.batch import Batch
from sampler_service.config import SamplerConfig
from sampler_service.llama import Llama
from sampler_service.native_runner import NativeRunner
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
            load = FullBatch(batch, deal(indexes if name == "constrained" else [], count))
            for _ in range(40):
                load.step()
            start, before = time.perf_counter(), load.tokens
            times = [load.step() for _ in range(size.steps)]
            seconds = time.perf_counter() - start
            load.close()
            for slot in range(count):
                runner.free(Slot(slot))
            how = f"{name} batch {count}"
            found[f"{how}: tokens/s"] = (load.tokens - before) / seconds
            found[f"{how}: step p50 ms"], found[f"{how}: step p99 ms"] = (
                float(np.quantile(times, quantile)) for quantile in (0.5, 0.99)
            )
            found[f"{how}: failed"] = load.failed
    return found
