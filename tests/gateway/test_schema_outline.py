"""The outline of a schema is short, ordered, total and bounded."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.schema_outline import Schema, outline

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "full name"},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "size": {"enum": ["small", "large"]},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "home": {"type": "object", "properties": {"zip": {"type": ["string", "null"]}}},
    },
    "required": ["name", "size", "tags"],
}


def test_an_object_is_written_in_its_own_order_with_optional_marks() -> None:
    assert outline(PERSON) == (
        '{name:string /*full name*/,age:integer(0..120)?,size:"small"|"large",'
        "tags:[string](1..),home:{zip:string|null?}?}"
    )


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (True, "any"),
        (False, "never"),
        ({}, "any"),
        ({"type": "string", "format": "date"}, "string<date>"),
        ({"type": "string", "pattern": "^a+$"}, "string</^a+$/>"),
        ({"const": None}, "null"),
        ({"const": {"a": [1]}}, "{…}"),
        ({"const": {"a": 1}}, '{"a":1}'),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string|null"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "{*:integer}"),
        ({"type": "array", "prefixItems": [{"type": "null"}], "items": False}, "[null]"),
        ({"allOf": [{"type": "string"}, {"minLength": 1}]}, "string&any"),
        ({"type": "object", "properties": {"a b": True}, "required": ["a b"]}, '{"a b":any}'),
        ({"$ref": "https://elsewhere.example/schema"}, "@schema"),
    ],
)
def test_each_form_has_its_sketch(schema: Schema, expected: str) -> None:
    assert outline(schema) == expected


def test_a_reference_is_entered_once_and_then_only_named() -> None:
    node = {
        "type": "object",
        "properties": {"next": {"$ref": "#/$defs/node"}},
        "required": ["next"],
    }
    schema = {"$ref": "#/$defs/node", "$defs": {"node": node}}
    assert outline(schema) == "{next:@node}"


def test_an_escaped_pointer_is_followed() -> None:
    schema = {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "null"}}}
    assert outline(schema) == "null"


def test_a_long_outline_is_cut_with_an_ellipsis() -> None:
    wide = {"type": "object", "properties": {f"key_{i}": {"type": "string"} for i in range(999)}}
    text = outline(wide, max_characters=100)
    assert len(text) == 100
    assert text.endswith("…")
    assert text[:99] == outline(wide, max_characters=1000)[:99]


def test_a_huge_schema_costs_little() -> None:
    branch: dict[str, object] = {"type": "string"}
    for _ in range(3000):
        branch = {"anyOf": [branch, branch]}
    enum = {"enum": ["x" * 1000] * 20_000}
    began = time.process_time()
    assert len(outline(branch)) <= 1600
    assert len(outline(enum)) <= 1600
    assert time.process_time() - began < 1.0


def test_numbers_too_long_to_print_are_left_out() -> None:
    huge = 10**5000
    assert outline({"const": huge}) == "number"
    assert outline({"type": "integer", "minimum": huge}) == "integer"


KEYWORDS = st.sampled_from(
    [
        "type",
        "properties",
        "required",
        "items",
        "prefixItems",
        "enum",
        "const",
        "anyOf",
        "oneOf",
        "allOf",
        "$ref",
        "format",
        "pattern",
        "minimum",
        "maxItems",
        "minLength",
        "description",
        "additionalProperties",
        "patternProperties",
        "$defs",
        "a",
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(["object", "array", "string", "#", "#/a", "#/properties/a/items/0", ""]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYWORDS, inner, max_size=5),
    max_leaves=30,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(KEYWORDS, VALUES, max_size=6), st.integers(0, 200))
def test_any_json_has_an_outline_within_its_bound(schema: dict[str, object], bound: int) -> None:
    text = outline(schema, max_characters=bound)
    assert len(text) <= max(bound, 1)
    assert text == outline(json.loads(json.dumps(schema)), max_characters=bound)
