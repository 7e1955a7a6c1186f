"""Is the forward on CUDA right? Checks that need no clock; each returns what it saw, by name."""

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from formwork_engine import AnyJson, Index, JsonSchema, compile_index
from torch import Tensor

from mesh.clock import SystemClock
from mesh.models import ModelEntry
from sampler_service.attention import Span, SpanAttention
from sampler_service.batch import Batch
from sampler_service.config import SamplerConfig
from sampler_service.model_folder import ModelFolder, read_model_folder
from sampler_service.openings import Opening, SamplingOptions, SequenceKey
from sampler_service.runner import BLOCK, Row, Runner, Slot
from sampler_service.runners import open_runner
from sampler_service.sequence import TokenRules
from sampler_service.testing import run_batch
from sampler_service.testing_batches import decode, signature
from sampler_service.testing_models import FAMILIES, make_model_folder
from sampler_service.tiles import multiply

Found = dict[str, object]
CONTEXT = 1024
SCHEMA: dict[str, object] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "age", "tags"],
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "tags": {"type": "array", "maxItems": 3, "items": {"enum": ["one", "two"]}},
    },
}


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


def check_quickly(path: Path, device: str) -> Found:
    """Do a little of everything.

    Raises:
        AssertionError: Something is wrong.
    """
    found: Found = {}
    if device == "cuda":
        for dtype in (torch.float32, torch.bfloat16):
            found |= check_attention(dtype, torch.device(device))
    found |= check_logits(path, device, 16) | check_answers(path, device, "bfloat16", 8)
    wrong = [value for value in found.values() if isinstance(value, float) and not value < 3]
    wrong += [v for n, v in found.items() if "relative" in n and float(str(v)) > 1e-2]
    wrong += [v for n, v in found.items() if "failed" in n and v]
    if wrong:
        raise AssertionError(found)
    return found


def check_families(device: str, tokens: int) -> Found:
    """Compare every family of models that has a native forward."""
    found: Found = {}
    with tempfile.TemporaryDirectory() as place:
        for family in FAMILIES:
            path = make_model_folder(Path(place) / family, family)
            found |= check_logits(path, device, tokens)
    return found


def check_answers(path: Path, device: str, dtype: str, many: int) -> Found:
    """Answers under constraints are valid; the same alone and among many others."""
    folder, runner = open_on(path, device, dtype, many)
    indexes = [compile_index(JsonSchema(json.dumps(SCHEMA)), folder.vocabulary)]
    indexes.append(compile_index(AnyJson(), folder.vocabulary))
    rules = TokenRules(folder.vocabulary, runner.info.context, folder.refusal_id)

    def make_batch() -> Batch:
        config = SamplerConfig(slots=many, parked_slots=0, mask_threads=8, prefix_cache_bytes=0)
        return Batch(runner, rules, config, SystemClock())

    batch = make_batch()
    openings = [_opening(number, folder.vocabulary.size) for number in range(many)]
    for number, one in enumerate(openings):
        batch.open(one)
        if one.constrained:
            batch.bind(one.key, indexes[number % 2].cursor())
    told = run_batch(batch)
    batch.close()
    texts = {number: told[openings[number].key].text for number in range(0, many, 4)}
    valid = sum(_is_valid(text) for text in texts.values())
    same = list(_same_alone(make_batch, indexes, openings, told))
    failed = [t.last.error for t in told.values() if t.last.error is not None]
    name = f"answers {dtype}"
    return {
        f"{name}: valid": f"{valid} of {len(texts)}",
        f"{name}: same alone as among {many - 1} others": f"{sum(same)} of {len(same)}",
        f"{name}: failed": [str(error) for error in failed[:3]],
        f"{name}: example": texts[0],
    }


def _opening(number: int, vocabulary: int) -> Opening:
    """Half of them are constrained, by a schema or by any JSON; prompts of many lengths."""
    random = torch.Generator().manual_seed(number)
    length = 2 + 37 * number % 300
    prompt = tuple(torch.randint(6, vocabulary, (length,), generator=random).tolist())
    options = SamplingOptions(
        temperature=(0.0, 0.7, 1.3)[number % 3],
        top_p=(1.0, 0.9)[number % 5 == 0],
        seed=number,
        max_tokens=96,
        close_in_time=number % 4 < 2,
        top_logprobs=3 if number % 7 == 0 else None,
    )
    key = SequenceKey(1, number + 1)
    return Opening(key, prompt, options, float("inf"), constrained=number % 4 < 2)


def _same_alone(
    make_batch: Callable[[], Batch],
    indexes: list[Index],
    openings: list[Opening],
    told: dict[SequenceKey, object],
) -> Iterator[bool]:
    for number in range(0, len(openings), max(1, len(openings) // 23)):
        one = openings[number]
        batch = make_batch()
        alone = decode(batch, one, index=indexes[number % 2])
        batch.close()
        yield signature(alone[one.key.sequence]) == signature(told[one.key])  # type: ignore[arg-type] # what was told


def _is_valid(text: str) -> bool:
    try:
        import jsonschema_rs  # noqa: PLC0415 - may be missing on a device
    except ImportError:
        return set(json.loads(text)) == {"name", "age", "tags"}
    return bool(jsonschema_rs.is_valid(SCHEMA, json.loads(text)))
