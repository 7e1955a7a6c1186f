"""Are answers made on a GPU valid, and the same alone as in a full batch?"""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jsonschema_rs
import torch
from formwork_engine import AnyJson, Index, JsonSchema, Vocabulary, compile_index

from bench.batch_masks import schema_of
from bench.full_batch import Found
from bench.gpu_checks import check_logits, open_on
from mesh.clock import SystemClock
from sampler_service.batch import Batch
from sampler_service.config import SamplerConfig
from sampler_service.openings import Opening, SamplingOptions, SequenceKey
from sampler_service.sequence import TokenRules
from sampler_service.testing import Told, run_batch
from sampler_service.testing_batches import decode, signature
from sampler_service.testing_models import FAMILIES, make_model_folder

LONGEST = 240  # tokens of an answer
FIRST: dict[str, object] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "age", "tags"],
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "tags": {"type": "array", "maxItems": 3, "items": {"enum": ["one", "two"]}},
    },
}


def check_answers(path: Path, device: str, dtype: str, many: int, alone: int = 24) -> Found:
    """Answers under constraints are valid; the same alone and among many others.

    Args:
        path: The model.
        device: `cuda` or `cpu`.
        dtype: The number type.
        many: Sequences at a time.
        alone: How many of them are decoded again, alone.
    """
    folder, runner = open_on(path, device, dtype, many)
    schemas: list[object] = [FIRST, True, *(schema_of(seed) for seed in range(31))]
    indexes = [_compile(schema, folder.vocabulary) for schema in schemas]
    rules = TokenRules(folder.vocabulary, runner.info.context, folder.refusal_id)

    def make_batch() -> Batch:
        config = SamplerConfig(slots=many, parked_slots=0, mask_threads=8, prefix_cache_bytes=0)
        return Batch(runner, rules, config, SystemClock())

    openings = [_opening(number, folder.vocabulary.size) for number in range(many)]
    told = _decode(make_batch(), openings, indexes)
    texts = {n: told[one.key].text for n, one in enumerate(openings) if one.constrained}
    valid = sum(_is_valid(text, schemas[n % len(schemas)]) for n, text in texts.items())
    same = list(_same_alone(make_batch, indexes, openings, told, alone))
    failed = [t.last.error for t in told.values() if t.last.error is not None]
    name = f"answers {dtype}"
    return {
        f"{name}: valid": f"{valid} of {len(texts)}",
        f"{name}: same alone as among {many - 1} others": f"{sum(same)} of {len(same)}",
        f"{name}: failed": [str(error) for error in failed[:3]],
        f"{name}: example": texts[0][:80],
    }


def check_families(device: str, tokens: int, many: int) -> Found:
    """Compare every family of models that has a native forward; look at answers of each."""
    found: Found = {}
    with tempfile.TemporaryDirectory() as place:
        for family in FAMILIES:
            path = make_model_folder(Path(place) / family, family)
            found |= check_logits(path, device, tokens)
            answers = check_answers(path, device, "float32", many, alone=6)
            found |= {f"{family}: {name}": value for name, value in answers.items()}
    return found


def _compile(schema: object, vocabulary: Vocabulary) -> Index:
    made = AnyJson() if schema is True else JsonSchema(json.dumps(schema))
    return compile_index(made, vocabulary)


def _decode(
    batch: Batch, openings: Sequence[Opening], indexes: Sequence[Index]
) -> dict[SequenceKey, Told]:
    for number, one in enumerate(openings):
        batch.open(one)
        if one.constrained:
            batch.bind(one.key, indexes[number % len(indexes)].cursor())
    told = run_batch(batch)
    batch.close()
    return told


def _opening(number: int, vocabulary: int) -> Opening:
    """Half of them are constrained; prompts of many lengths."""
    random = torch.Generator().manual_seed(number)
    length = 2 + 37 * number % 300
    prompt = tuple(torch.randint(6, vocabulary, (length,), generator=random).tolist())
    constrained = number % 4 < 2
    options = SamplingOptions(
        temperature=(0.0, 0.7, 1.3)[number % 3],
        top_p=(1.0, 0.9)[number % 5 == 0],
        seed=number,
        max_tokens=LONGEST if constrained else 96,
        close_in_time=constrained,
        top_logprobs=3 if number % 7 == 0 else None,
    )
    key = SequenceKey(1, number + 1)
    return Opening(key, prompt, options, float("inf"), constrained=constrained)


def _same_alone(
    make_batch: Callable[[], Batch],
    indexes: Sequence[Index],
    openings: Sequence[Opening],
    told: dict[SequenceKey, Told],
    count: int,
) -> Iterator[bool]:
    for number in range(0, len(openings), max(1, len(openings) // (count - 1))):
        one = openings[number]
        batch = make_batch()
        alone = decode(batch, one, index=indexes[number % len(indexes)])
        batch.close()
        yield signature(alone[one.key.sequence]) == signature(told[one.key])


def _is_valid(text: str, schema: object) -> bool:
    try:
        return bool(jsonschema_rs.is_valid(schema, json.loads(text)))
    except ValueError:
        return False
