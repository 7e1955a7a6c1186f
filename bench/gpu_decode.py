"""The native forward on a GPU: is it right, how long do steps take, what do masks cost?

    TEKKEN_JSON=.../tekken_240911.json python -m bench.gpu_decode [--json FILE] [--small] [--only a]

On one H100 it takes about two minutes. `--small` does the same in small, and without a GPU. Parts:
`a` correctness, `b` step times, `c` the cost of masks at the level of a runner, `d` whole batches.
The figures are wall time with one wait for the device a step, as a worker has it, and times between
events on the device; each is a median of repeated steps. A step of constrained sequences and one of
free ones are timed alternately.
"""

import argparse
import json
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from formwork_engine import JsonSchema, Vocabulary, compile_index, fill_masks
from numpy.typing import NDArray
from torch import Tensor

from bench import gpu_checks
from bench.batch_masks import Walk, load_vocabulary, schema_of
from bench.gpu_models import billion, random_model
from mesh.clock import SystemClock
from sampler_service.batch import Batch
from sampler_service.config import SamplerConfig
from sampler_service.llama import Llama
from sampler_service.llama_shape import read_shape
from sampler_service.model_folder import read_model_folder
from sampler_service.native_runner import NativeRunner
from sampler_service.openings import Opening, SamplingOptions, SequenceKey
from sampler_service.philox import Draw
from sampler_service.row_check import is_row_exact
from sampler_service.runner import Row, Slot
from sampler_service.runners import make_arithmetic, make_exact
from sampler_service.sampling import RowSampling, sample
from sampler_service.sequence import TokenRules
from sampler_service.tile_forward import TileForward
from sampler_service.tiles import CUDA_ROWS
from sampler_service.weights import load_weights

Found = dict[str, object]
BUILT_IN = Path(__file__).parent.parent / "models" / "formwork-mini"
STEP_FUEL = 10_000
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


def check(size: Size) -> Found:
    """Part a."""
    found: Found = {}
    device = size.device.type
    if size.cuda:
        for dtype in (torch.float32, torch.bfloat16):
            found |= gpu_checks.check_attention(dtype, size.device)
    found |= gpu_checks.check_logits(BUILT_IN, device, size.checked)
    found |= gpu_checks.check_families(device, size.checked // 4)
    for dtype in ("float32", "bfloat16")[: 1 + size.cuda]:
        found |= gpu_checks.check_answers(BUILT_IN, device, dtype, size.many)
    return found


def time_steps(size: Size, model: Llama, name: str) -> Found:
    """Part b: milliseconds of the forward with its logits, on the device and as a whole."""
    found: Found = {}
    for count in size.batches:
        for graphs in (True, False)[: 1 + size.cuda]:
            decoding = Decoding(size, model, count, graphs=graphs)
            how = f"{name} batch {count}{'' if graphs else ' without graphs'}"
            found[f"{how}: forward ms"] = time_work(size, decoding.launch, size.steps)
            free = decoding._nothing  # noqa: SLF001
            for temperature in (0.0, 1.0)[: 1 + graphs]:
                rows = sampled(count, 1, temperature)
                times = [decoding.step(lambda: free, rows) for _ in range(size.steps)]
                decoding.forget()
                found[f"{how}: step at temperature {temperature:.0f} ms"] = float(np.median(times))
            del decoding
    return found


def time_parts(size: Size, model: Llama, count: int) -> Found:
    """Where the time of a step goes, on the device."""
    decoding = Decoding(size, model, count)
    words = decoding.words
    masks = torch.full((count, words), -1, dtype=torch.int32, device=size.device)
    logits = torch.randn(count, model.vocabulary, device=size.device)
    hidden = torch.randn(count, model.shape.hidden, device=size.device).to(model.dtype)
    host = np.full((count, words), -1, dtype=np.int32)
    head = torch.inference_mode()(partial(model.logits, hidden))
    parts: dict[str, Callable[[], object]] = {
        "logits": head,
        "sample at temperature 0": partial(sample, logits, masks, sampled(count, 1, 0.0)),
        "sample at temperature 1": partial(sample, logits, masks, sampled(count, 1, 1.0)),
        "upload of masks": partial(decoding.runner._forward.upload, host),  # noqa: SLF001
        "forward with logits": decoding.launch,
    }
    if size.cuda:
        for rows, replay in decoding.runner._forward._passes.items():  # type: ignore[attr-defined] # noqa: SLF001
            parts[f"a graph of {rows} rows of attention"] = replay
    return {f"{name}, batch {count}: ms": time_work(size, w, 20) for name, w in parts.items()}


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


def describe(size: Size) -> Found:
    """Say what it runs on, and its ceilings."""
    if not size.cuda:
        return {"device": "processor"}
    properties = torch.cuda.get_device_properties(0)
    big = torch.randn(1 << 29, device=size.device)
    target = torch.empty_like(big)
    square = torch.randn(8192, 8192, device=size.device, dtype=torch.bfloat16)
    copied = time_work(size, partial(target.copy_, big), 10)
    product = time_work(size, partial(torch.matmul, square, square), 10)
    return {
        "device": properties.name,
        "torch": torch.__version__,
        "copy TB/s": 2 * big.nbytes / copied / 1e9,
        "bf16 product TFLOP/s": 2 * 8192**3 / product / 1e9,
    }


def report(part: str, found: Found, everything: dict[str, Found], file: Path | None) -> None:
    """Print what a part has found, and keep it."""
    print(f"-- {part}", flush=True)
    for name, value in found.items():
        print(
            f"   {name:62} {value:10.4g}" if isinstance(value, float) else f"   {name:62} {value}"
        )
    everything[part] = found
    if file is not None:
        file.write_text(json.dumps(everything, indent=1))


def parts(size: Size, only: str) -> Iterator[tuple[str, Callable[[], Found]]]:
    """Return one part after another."""
    if "s" in only:
        yield "s: smoke", partial(gpu_checks.check_quickly, BUILT_IN, size.device.type)
    yield "machine", partial(describe, size)
    if "a" in only:
        yield "a: correctness", partial(check, size)
    if not set(only) & set("bcd"):
        return
    if "b" in only:
        yield "b: steps of the built-in model", partial(time_steps, size, _built_in(size), "mini")
    model, vocabulary = _large(size) if size.cuda else (_built_in(size), _vocabulary())
    if "b" in only:
        yield "b: exactness", partial(check_exactness, model)
        yield "b: parts of a step", partial(time_parts, size, model, size.many)
        yield "b: steps", partial(time_steps, size, model, "1.2 B")
    if "c" in only:
        yield "c: masks", partial(time_masks, size, model, vocabulary)
    if "d" in only:
        yield "d: batches", partial(time_batches, size, model, vocabulary)


def check_exactness(model: Llama) -> Found:
    """Return whether rows are exact: of the whole model, and of each of its products."""
    layer = model._layers[0]  # noqa: SLF001 - looks inside
    linear = {n: getattr(layer, n).weight for n in ("qkv", "output", "gate_up", "down")}
    linear["head"] = model._head.weight  # noqa: SLF001 - looks inside
    exact: Found = {"rows exact, whole model": is_row_exact(model)}
    return exact | gpu_checks.check_products(linear, CUDA_ROWS)


def _large(size: Size) -> tuple[Llama, Vocabulary]:
    return random_model(billion(1024), size.device, size.dtype), load_vocabulary()


def _vocabulary() -> Vocabulary:
    return read_model_folder(BUILT_IN).vocabulary


def _built_in(size: Size) -> Llama:
    folder = read_model_folder(BUILT_IN)
    weights = load_weights(BUILT_IN, dtype=size.dtype, device=size.device)
    shape = read_shape(folder.config, context=1024)
    arithmetic = make_arithmetic(size.device)
    return Llama(shape, weights, folder.vocabulary.size, arithmetic=arithmetic)


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--only", default="abcd")
    given = parser.parse_args()
    cuda = torch.cuda.is_available() and not given.small
    size = (
        Size(torch.device("cuda"), torch.bfloat16, (1, 32, 128, 256), 256, 200, 200, 16)
        if cuda
        else Size(torch.device("cpu"), torch.float32, (1, 2), 4, 3, 12, 2)
    )
    if cuda:
        make_exact()
    else:
        torch.set_num_threads(2)
    everything: dict[str, Found] = {}
    broken = False
    for part, work in parts(size, given.only):
        start = time.perf_counter()
        try:
            found = work()
        except Exception:  # noqa: BLE001 - the other parts are worth having
            traceback.print_exc()
            broken, found = True, {"failed": traceback.format_exc()[-2000:]}
        found["seconds"] = time.perf_counter() - start
        report(part, found, everything, given.json)
    raise SystemExit(broken)


if __name__ == "__main__":
    main()
