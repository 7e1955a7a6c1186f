"""Is the forward on CUDA right? Checks that need no clock; each returns what it saw, by name."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.full_batch import Found
from mesh.models import ModelEntry
from sampler_service.attention import Span, SpanAttention
from sampler_service.config import SamplerConfig
from sampler_service.model_folder import ModelFolder, read_model_folder
from sampler_service.runner import BLOCK, Row, Runner, Slot
from sampler_service.runners import open_runner
from sampler_service.tiles import multiply

CONTEXT = 1024


def check_attention(dtype: torch.dtype, device: torch.device) -> Found:
    """Compare the kernel with the library's attention, in double precision."""
    from sampler_service.row_attention import RowAttention  # noqa: PLC0415 - needs triton

    random = torch.Generator(device).manual_seed(2)
    lengths = [1, 64, 65, 255, 256, 257, 900, 2048, 0, 3000]
    bases = [7 + 3000 * row for row in range(len(lengths))]
    worst = 0.0
    for heads, kv_heads, size in ((32, 8, 64), (4, 4, 64), (28, 4, 128), (6, 2, 8)):
        query = torch.randn(16, heads, size, generator=random, device=device).to(dtype)
        cache = torch.randn(2, 30100, kv_heads, size, generator=random, device=device).to(dtype)
        asked = torch.tensor([bases, lengths], device=device)
        found = RowAttention(asked[0], asked[1], len(lengths))(query, cache).double()
        spans = [
            Span(row, row + 1, base, length)
            for row, (base, length) in enumerate(zip(bases, lengths, strict=True))
            if length
        ]
        wide = SpanAttention(tuple(spans), ())(query.double(), cache.double())
        worst = max(worst, float((found - wide).norm() / wide.norm()))
    return {f"attention {dtype}: relative error": worst}


def check_products(weights: dict[str, Tensor], rows: int) -> Found:
    """Return whether a row of a product is the same in every place of a tile."""
    found: Found = {}
    for name, weight in weights.items():
        batch = torch.randn(rows, weight.shape[1], device=weight.device).to(weight.dtype)
        expected = multiply(batch, weight, None, (rows,))
        other = torch.randn_like(batch)
        exact = []
        for shift in (1, 7, rows // 2, rows - 3):
            turned = multiply(batch.roll(shift, 0), weight, None, (rows,)).roll(-shift, 0)
            mixed = other.clone()
            mixed[shift] = batch[0]
            alone = multiply(mixed, weight, None, (rows,))[shift]
            exact.append(torch.equal(turned, expected) and torch.equal(alone, expected[0]))
        found[f"rows exact {name} {tuple(weight.shape)}"] = all(exact)
    return found


def open_on(path: Path, device: str, dtype: str, slots: int) -> tuple[ModelFolder, Runner]:
    """Return a folder and its runner on a device."""
    folder = read_model_folder(path)
    entry = ModelEntry(
        path, folder.vocabulary.fingerprint, context=CONTEXT, device=device, dtype=dtype
    )
    config = SamplerConfig(slots=slots, parked_slots=0, kv_bytes=32 * 1024**3)
    return folder, open_runner(folder, entry, config)


def check_logits(path: Path, device: str, tokens: int) -> Found:
    """Compare logits and greedy tokens with those of the processor, both in float32."""
    folder, here = open_on(path, "cpu", "float32", 2)
    _, there = open_on(path, device, "float32", 2)
    random = torch.Generator().manual_seed(1)
    prompt = torch.randint(6, folder.vocabulary.size, (150,), generator=random).tolist()
    token, differences, equal, spread = prompt[-1], [], 0, 0.0
    for runner in (here, there):
        _prefill(runner, prompt)
    for _ in range(tokens):
        expected, found = (_next(runner, token) for runner in (here, there))
        differences.append(float((expected - found.cpu()).abs().max()))
        equal += int(expected.argmax()) == int(found.argmax())
        spread, token = float(expected.std()), int(expected.argmax())
    return {
        f"{folder.path.name}: largest difference of logits": max(differences),
        f"{folder.path.name}: their standard deviation": spread,
        f"{folder.path.name}: greedy tokens equal": f"{equal} of {tokens}",
        f"{folder.path.name}: determinism": there.info.determinism,
    }


def _prefill(runner: Runner, prompt: list[int]) -> None:
    runner.prefill(Slot(1), [])
    for start in range(0, len(prompt) - 1, BLOCK):
        run = tuple(prompt[start : min(start + BLOCK, len(prompt) - 1)])
        runner.step([Row(Slot(1), run, prompt=True)], lambda: np.zeros((0, 1), dtype=np.int32))


def _next(runner: Runner, token: int) -> Tensor:
    row = Row(Slot(1), (token,), wants_logits=True)
    return runner.step([row], lambda: np.zeros((1, 1), dtype=np.int32)).values[0]
