"""Schemas made to blow up: an index or a typed error, and neighbours that notice nothing."""

import json
from typing import Any

import pytest
from formwork_engine import (
    Budget,
    CursorError,
    EngineError,
    JsonSchema,
    TooLargeError,
    Vocabulary,
    compile_index,
)
from formwork_engine.schema.rule_depth import longest_chain
from formwork_engine.testing import accepts, advance_text, allowed


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


def test_a_long_chain_of_references_does_not_exhaust_the_stack(vocabulary: Vocabulary) -> None:
    assert accepts(compile_index(JsonSchema(json.dumps(chain(4000))), vocabulary), "[[[]]]")


@pytest.mark.parametrize(
    ("schema", "limit"),
    [
        (chain(16_000), "rule depth"),
        (
            {"allOf": [{"anyOf": [{"minLength": n}, {"maxLength": n + 99}]} for n in range(20)]},
            "max_alternatives",
        ),
        (
            {"type": "array", "prefixItems": [{"minimum": n} for n in range(21_000)]},
            "max_positions",
        ),
        (
            {"type": "object", "properties": {f"p{n}": {} for n in range(1501)}},
            "optional properties",
        ),
        (
            {
                "type": "object",
                "properties": {f"p{n}": {} for n in range(1200)},
                "maxProperties": 600,
            },
            "counted properties",
        ),
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


SPENDING = {"type": "string", "maxLength": 500, "pattern": r"^(?:\S+\s+){0,49}\S+$"}


def test_a_cursor_that_spends_the_shared_lexer_fails_no_other(vocabulary: Vocabulary) -> None:
    budget = Budget(max_lexer_fuel=60_000)
    index = compile_index(JsonSchema(json.dumps(SPENDING)), vocabulary, budget=budget)
    bystander = index.cursor()
    assert advance_text(bystander, b'"ab cd', vocabulary)
    failures = 0
    for number in range(12):
        spender = index.cursor()
        try:
            advance_text(spender, b'"' + f"wo{number} ".encode() * 45, vocabulary)
        except CursorError:
            failures += 1
        assert ord('"') in allowed(index.cursor(), vocabulary)
    assert failures < 12
    assert bystander.failure is None
    assert advance_text(bystander, b' ef"', vocabulary)
    assert bystander.may_end


@pytest.mark.parametrize(
    ("rules", "depth"),
    [
        ({}, 0),
        ({"a": []}, 1),
        ({"a": ["b", "c"], "b": ["c"], "c": []}, 3),
        ({"a": ["b"], "b": ["c"], "c": ["b", "d"], "d": []}, 4),
        ({"a": ["a"]}, 1),
        ({str(n): [str(n + 1)] for n in range(5000)} | {"5000": []}, 5001),
    ],
)
def test_the_longest_chain_counts_circles_whole(rules: dict[str, list[str]], depth: int) -> None:
    assert longest_chain(rules) == depth
