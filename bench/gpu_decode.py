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
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from formwork_engine import Vocabulary

from bench import gpu_checks
from bench.batch_masks import load_vocabulary
from bench.full_batch import Found
from bench.gpu_answers import check_answers, check_families
from bench.gpu_decoding import Decoding, Size, sampled, time_work
from bench.gpu_masks import time_batches, time_masks
from bench.gpu_models import billion, random_model
from bench.gpu_race import check_race
from sampler_service.llama import Llama
from sampler_service.llama_shape import read_shape
from sampler_service.model_folder import read_model_folder
from sampler_service.row_check import is_row_exact
from sampler_service.runners import make_arithmetic, make_exact
from sampler_service.sampling import sample
from sampler_service.tiles import CUDA_ROWS
from sampler_service.weights import load_weights

BUILT_IN = Path(__file__).parent.parent / "models" / "formwork-mini"


def check(size: Size) -> Found:
    """Part a."""
    found: Found = {}
    device = size.device.type
    if size.cuda:
        for dtype in (torch.float32, torch.bfloat16):
            found |= gpu_checks.check_attention(dtype, size.device)
        found |= check_race(size.device)
    found |= gpu_checks.check_logits(BUILT_IN, device, size.checked)
    found |= check_families(device, size.checked // 4, size.many // 4)
    for name in ("float32", "bfloat16")[: 1 + size.cuda]:
        found |= check_answers(BUILT_IN, device, name, size.many)
    return found


def check_quickly(path: Path, device: str) -> Found:
    """Do a little of everything.

    Raises:
        AssertionError: Something is wrong.
    """
    found: Found = {}
    if device == "cuda":
        for dtype in (torch.float32, torch.bfloat16):
            found |= gpu_checks.check_attention(dtype, torch.device(device))
        found |= check_race(torch.device(device))
    found |= gpu_checks.check_logits(path, device, 16) | check_answers(path, device, "bfloat16", 8)
    wrong: list[object] = [
        v for n, v in found.items() if isinstance(v, float) and "deviation" not in n and not v < 3
    ]
    wrong += [n for n, v in found.items() if isinstance(v, str) and _is_less_than_all(v)]
    wrong += [name for name, value in found.items() if value is False]
    wrong += [v for n, v in found.items() if "relative" in n and float(str(v)) > 1e-2]
    wrong += [v for n, v in found.items() if "failed" in n and v]
    if wrong:
        raise AssertionError(found)
    return found


def _is_less_than_all(told: str) -> bool:
    """Tell whether a finding is of the form "x of y", and x is not y."""
    some, of, all_of_them = told.partition(" of ")
    return bool(of) and some != all_of_them


def time_steps(size: Size, model: Llama, name: str) -> Found:
    """Part b: milliseconds of the forward with its logits, on the device and as a whole."""
    found: Found = {}
    for count in size.batches:
        for graphs in (True, False)[: 1 + size.cuda]:
            decoding = Decoding(size, model, count, graphs=graphs)
            how = f"{name} batch {count}{'' if graphs else ' without graphs'}"
            found[f"{how}: forward ms"] = time_work(size, decoding.launch, size.steps)
            for temperature in (0.0, 1.0)[: 1 + graphs]:
                rows = sampled(count, 1, temperature)
                times = [decoding.step(decoding.allow_all, rows) for _ in range(size.steps)]
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
    tails = [replace(row, top_p=0.9) for row in sampled(count, 1, 1.0)]
    parts: dict[str, Callable[[], object]] = {
        "logits": head,
        "sample at temperature 0": partial(sample, logits, masks, sampled(count, 1, 0.0)),
        "sample at temperature 1": partial(sample, logits, masks, sampled(count, 1, 1.0)),
        "sample at top-p 0.9": partial(sample, logits, masks, tails),
        "upload of masks": partial(decoding.runner._forward.upload, host),  # noqa: SLF001
        "forward with logits": decoding.launch,
    }
    if size.cuda:
        for rows, replay in decoding.runner._forward._passes.items():  # type: ignore[attr-defined] # noqa: SLF001
            parts[f"a graph of {rows} rows of attention"] = replay
    return {f"{name}, batch {count}: ms": time_work(size, w, 20) for name, w in parts.items()}


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
        yield "s: smoke", partial(check_quickly, BUILT_IN, size.device.type)
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
