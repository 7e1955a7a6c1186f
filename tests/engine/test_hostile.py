"""Schemas made to blow up: an index or a typed error, and neighbours that notice nothing."""

import json
from typing import Any

import pytest
from formwork_engine import (
    Budget,
    EngineError,
    JsonSchema,
    TooLargeError,
    Vocabulary,
    compile_index,
)
from formwork_engine.testing import accepts, allowed


def doubling(count: int, keyword: str) -> dict[str, Any]:
    definitions: dict[str, Any] = {"d0": {"type": "string"}}
    for number in range(1, count):
        twice = [{"$ref": f"#/$defs/d{number - 1}"}, {"$ref": f"#/$defs/d{number - 1}"}]
        definitions[f"d{number}"] = {keyword: twice}
    return {"$defs": definitions, "$ref": f"#/$defs/d{count - 1}"}


def chain(count: int) -> dict[str, Any]:
    definitions: dict[str, Any] = {"d0": {"type": "null"}}
    for number in range(1, count):
        definitions[f"d{number}"] = {"items": {"$ref": f"#/$defs/d{number - 1}"}, "type": "array"}
    return {"$defs": definitions, "$ref": f"#/$defs/d{count - 1}"}


def test_references_that_double_cost_nothing(vocabulary: Vocabulary) -> None:
    for keyword in ("allOf", "prefixItems", "anyOf"):
        compile_index(JsonSchema(json.dumps(doubling(40, keyword))), vocabulary)


def test_a_long_chain_of_references_is_followed(vocabulary: Vocabulary) -> None:
    assert accepts(compile_index(JsonSchema(json.dumps(chain(180))), vocabulary), "[[[]]]")


@pytest.mark.parametrize(
    ("schema", "limit"),
    [
        (chain(16_000), "max_depth"),
        ({"type": "array", "minItems": 10**6}, "max_search_depth"),
        ({"type": "object", "minProperties": 10**6}, "max_search_depth"),
        (doubling(600, "allOf"), "max_depth"),
    ],
)
def test_what_is_too_large_names_its_limit(
    vocabulary: Vocabulary, schema: object, limit: str
) -> None:
    budget = Budget(max_nodes=10**6, max_bytes=10**7)
    with pytest.raises(TooLargeError) as caught:
        compile_index(JsonSchema(json.dumps(schema)), vocabulary, budget=budget)
    assert caught.value.limit == limit


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "(a{1000}){1000}"},
        {"pattern": "(.*a.{20}){20}"},
        {"allOf": [{"pattern": f".*a.{{{n}}}b"} for n in range(2, 30)]},
        {"patternProperties": {f"a.*{n}b": {} for n in range(30)}},
        {"enum": [f"v{n}" for n in range(5000)]},
        {"type": "array", "minItems": 10**6, "items": {}},
        {"type": "string", "minLength": 10**9},
        {"oneOf": [{"const": n} for n in range(200)]},
    ],
)
def test_anything_gives_an_index_or_a_typed_error(vocabulary: Vocabulary, schema: object) -> None:
    try:
        index = compile_index(JsonSchema(json.dumps(schema)), vocabulary)
    except EngineError:
        return
    assert allowed(index.cursor(), vocabulary)
