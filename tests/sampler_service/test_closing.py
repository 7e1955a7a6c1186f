"""An answer that shall be closed in time is whole when its tokens are used up."""

import json
from collections.abc import Callable

import jsonschema_rs
import numpy as np
import pytest
from formwork_engine.index import Index, compile_index
from formwork_engine.inputs import JsonSchema

from mesh.errors import LimitExceededError
from sampler_service.batch import Batch
from sampler_service.model_folder import ModelFolder
from sampler_service.outputs import Finish
from sampler_service.sequence import Sequence, TokenRules
from sampler_service.testing_batches import decode, opening, signature

MakeBatch = Callable[..., Batch]
SCHEMAS: list[dict[str, object]] = [
    {
        "type": "object",
        "properties": {
            "why": {"type": "string"},
            "tags": {"type": "array", "items": {"enum": ["short", "a much longer one"]}},
            "at": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]},
        },
        "required": ["why", "tags", "at"],
        "additionalProperties": False,
    },
    {"type": "array", "items": {"type": "string", "minLength": 3}, "minItems": 2},
    {"anyOf": [{"type": "integer", "minimum": 1000}, {"type": "object"}]},
]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_answer_is_whole_within_any_budget_that_fits_one(
    make_batch: MakeBatch, folder: ModelFolder, schema: dict[str, object]
) -> None:
    index = compile_index(JsonSchema(json.dumps(schema)), folder.vocabulary)
    validator = jsonschema_rs.validator_for(schema)
    shortest = index.cursor().shortest_end_tokens
    assert shortest is not None
    many = [
        opening(
            number,
            constrained=True,
            options={
                "max_tokens": shortest + number,
                "close_in_time": True,
                "top_logprobs": 1 if number % 3 == 0 else None,
            },
        )
        for number in range(24)
    ]
    told = decode(make_batch(), *many, index=index)
    for number, said in told.items():
        validator.validate(json.loads(said.text))
        assert said.tokens <= shortest + number
    assert Finish.LENGTH in {said.last.finish for said in told.values()}


def test_far_from_the_end_nothing_changes(make_batch: MakeBatch, index: Index) -> None:
    for number in range(4):
        plain = opening(number, constrained=True, options={"max_tokens": 400})
        timed = opening(
            number, constrained=True, options={"max_tokens": 400, "close_in_time": True}
        )
        told = [decode(make_batch(), one, index=index)[number] for one in (plain, timed)]
        assert told[0].last.finish is Finish.STOP
        assert signature(told[0]) == signature(told[1])


def test_company_changes_no_byte(make_batch: MakeBatch, folder: ModelFolder) -> None:
    index = compile_index(JsonSchema(json.dumps(SCHEMAS[0])), folder.vocabulary)
    shortest = index.cursor().shortest_end_tokens or 0
    options = {"max_tokens": shortest + 9, "close_in_time": True}
    many = [opening(number, constrained=True, options=options) for number in range(8)]
    together = decode(make_batch(), *many, index=index)
    for one in many[::3]:
        fresh = compile_index(JsonSchema(json.dumps(SCHEMAS[0])), folder.vocabulary)
        alone = decode(make_batch(mask_step_fuel=200), one, index=fresh)[one.key.sequence]
        assert signature(alone) == signature(together[one.key.sequence])


def test_too_few_tokens_are_refused_by_their_limit(make_batch: MakeBatch, index: Index) -> None:
    shortest = index.cursor().shortest_end_tokens or 0
    options = {"max_tokens": shortest - 1, "close_in_time": True}
    said = decode(make_batch(), opening(1, constrained=True, options=options), index=index)[1]
    error = said.last.error
    assert isinstance(error, LimitExceededError)
    assert error.metadata["maximum"] == str(shortest - 1)
    assert error.metadata["value"] == str(shortest)


def test_what_is_stopped_on_its_way_to_the_end_is_not_taken_for_whole(
    folder: ModelFolder, index: Index
) -> None:
    rules = TokenRules(folder.vocabulary, 1024, None)
    options = {"max_tokens": 400, "close_in_time": True}
    sequence = Sequence(opening(1, constrained=True, options=options), rules, arrival=1, now=0.0)
    sequence.bind(index.cursor())
    sequence.fill_closing_mask(np.zeros(folder.vocabulary.words, dtype=np.int32))
    sequence.end(Finish.ABORTED)
    assert sequence.ending is Finish.ABORTED
