"""Against an independent validator: same verdicts, and walks along the mask that end valid."""

import json
import random
from typing import Any

import numpy as np
import pytest
from formwork_engine import (
    Cursor,
    CursorError,
    Index,
    IndexOptions,
    JsonSchema,
    PropertyOrder,
    Spellings,
    Vocabulary,
    Whitespace,
    compile_index,
)
from jsonschema_rs import Draft202012Validator

MERGED = [b'{"', b'":', b'","', b'"}', b"]}", b'":"', b"true", b"null", b'"a":', b"12", b"\xc3\xa9"]
TOKENS = [*(bytes([byte]) for byte in range(256)), *MERGED, b""]
END = len(TOKENS) - 1
CLOSING = {b'"', b"}", b"]", b"1", b"b"}
WIDE = IndexOptions(
    whitespace=Whitespace.BOUNDED,
    max_whitespace=1,
    property_order=PropertyOrder.ANY,
    spellings=Spellings.ALL,
)

TREE = {
    "$defs": {
        "tree": {
            "type": "object",
            "properties": {"v": {"type": "integer"}, "kids": {"$ref": "#/$defs/kids"}},
            "required": ["v"],
            "additionalProperties": False,
        },
        "kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 2},
    },
    "$ref": "#/$defs/tree",
}
SCHEMAS: list[dict[str, Any]] = [
    {},
    TREE,
    {"type": "null"},
    {"type": ["boolean", "integer"]},
    {"enum": [1, "a", None, [1, {"a": 2}], {"a": 1, "b": [2]}]},
    {"const": {"a": 1.0}},
    {"type": "integer", "minimum": -3, "exclusiveMaximum": 12},
    {"type": "number", "exclusiveMinimum": 0, "maximum": 2.5},
    {"type": "number", "multipleOf": 3, "minimum": -9, "maximum": 999},
    {"type": "string", "minLength": 2, "maxLength": 4},
    {"type": "string", "pattern": "^a+b?$"},
    {"type": "string", "pattern": "[0-9]", "maxLength": 3},
    {"type": "string", "format": "date"},
    {"type": "string", "format": "ipv4"},
    {"type": "string", "format": "uuid"},
    {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
    {
        "type": "array",
        "items": {"enum": [1, 2, "a", None]},
        "contains": {"const": 1},
        "minContains": 2,
        "maxContains": 3,
    },
    {"type": "array", "items": {"enum": [1, 2, 3, "a", {"a": 1}]}, "uniqueItems": True},
    {"type": "array", "prefixItems": [{"type": "string"}], "unevaluatedItems": {"type": "null"}},
    {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}},
    {
        "type": "object",
        "properties": {"a": {}, "b": {"type": "null"}},
        "additionalProperties": False,
    },
    {"type": "object", "patternProperties": {"^a": {"type": "integer"}}, "minProperties": 1},
    {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 2},
    {"type": "object", "propertyNames": {"maxLength": 1}},
    {"type": "object", "dependentRequired": {"a": ["b"]}},
    {"type": "object", "dependentSchemas": {"a": {"properties": {"b": {"type": "integer"}}}}},
    {"allOf": [{"type": "number", "minimum": 1}, {"multipleOf": 2}]},
    {"anyOf": [{"type": "string", "maxLength": 1}, {"type": "integer", "minimum": 2}]},
    {"oneOf": [{"type": "integer", "minimum": 1}, {"type": "number", "maximum": 2}]},
    {"oneOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object"},
    {"not": {"type": ["object", "array", "string"]}},
    {"not": {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}},
    {
        "type": "object",
        "if": {"properties": {"a": {"const": 1}}, "required": ["a"]},
        "then": {"required": ["b"]},
        "else": {"maxProperties": 1},
    },
    {
        "allOf": [{"properties": {"a": {"type": "integer"}}}],
        "type": "object",
        "properties": {"b": True},
        "unevaluatedProperties": False,
    },
    {
        "type": "object",
        "anyOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"required": ["b"]}],
        "unevaluatedProperties": {"type": "string"},
    },
]
INSTANCES: list[Any] = [
    *(None, True, False, 0, 1, 2, 3, 12, -3, -4, 0.5, 1.0, 2.5, 2.6, 6, 1e3, 10**20, -0.25),
    *("", "a", "b", "aa", "aab", "ab", "aaaa", "aaaaa", "a1", "1", "éé", "\n", '"\\', "😀😀"),
    *(
        "2024-02-29",
        "2023-02-29",
        "127.0.0.1",
        "127.0.0.256",
        "00000000-0000-0000-0000-00000000000f",
    ),
    *([], [1], [1, 1], [1, 1, 1, 1], [1, 2, 3], ["a"], ["a", 1], ["a", None], ["a", 1, 2], [None]),
    *([1, {"a": 2}], [{"a": 1}, {"a": 1}], [{"a": 1}, {"a": 1.0, "b": 2}], [[]], [1, "a", 1]),
    *({}, {"a": 1}, {"a": 2}, {"a": "x"}, {"b": None}, {"b": 1}, {"a": 1, "b": None}, {"": ""}),
    *({"b": [2], "a": 1}, {"a": 1, "b": 2, "c": 3}, {"ab": 1}, {"ab": "x"}, {"c": "x", "a": 1}),
    *({"b": "x", "c": "y"}, {"é": 1}, {"a": {"a": {"a": 1}}}, {"b": True, "a": "x"}),
    *({"v": 1}, {"v": 1, "kids": []}, {"v": 1, "kids": [{"v": 2, "kids": [{"v": 3}]}, {"v": 4}]}),
    *({"v": "x"}, {"v": 1, "kids": [{"v": 2}, {"v": 3}, {"v": 4}]}, {"v": 1, "kids": [{}]}),
]


@pytest.fixture(name="vocabulary", scope="module")
def _vocabulary() -> Vocabulary:
    return Vocabulary(TOKENS, special_ids=[], end_ids=[END])


def spell(schema: dict[str, Any]) -> str:
    return json.dumps(schema)[:60]


def accepts(index: Index, text: str) -> bool:
    cursor = index.cursor()
    try:
        for byte in text.encode():
            cursor.advance(byte)
    except CursorError:
        return False
    return cursor.may_end


@pytest.mark.parametrize("schema", SCHEMAS, ids=spell)
def test_instances_are_judged_as_an_independent_validator_does(
    schema: dict[str, Any], vocabulary: Vocabulary
) -> None:
    validator = Draft202012Validator(schema, validate_formats=True)
    index = compile_index(JsonSchema(json.dumps(schema)), vocabulary, WIDE)
    for instance in INSTANCES:
        expected = validator.is_valid(instance)
        for escaped, separators in ((True, (",", ":")), (False, (", ", ": "))):
            text = json.dumps(instance, ensure_ascii=escaped, separators=separators)
            assert accepts(index, text) == expected, text


def choose(cursor: Cursor, rng: random.Random, *, hurry: bool) -> int:
    """A token of the mask; in a hurry the end, or one that the schemas' ends are made of."""
    mask = np.zeros(cursor.vocabulary.words, dtype=np.int32)
    cursor.fill_mask(mask)
    choices = np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little")).tolist()
    assert (END in choices) == cursor.may_end
    if END in choices and hurry:
        return END
    closing = [token for token in choices if TOKENS[token] in CLOSING]
    return rng.choice(closing if closing and hurry else choices)


def walk(index: Index, rng: random.Random, limit: int = 300) -> bytes | None:
    """A text that follows the mask to its end; None if that takes too long."""
    cursor, text, patience = index.cursor(), b"", rng.randrange(60)
    for step in range(limit):
        token = choose(cursor, rng, hurry=step > patience)
        cursor.advance(token)
        if token == END:
            return text
        text += TOKENS[token]
    return None


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


@pytest.mark.parametrize("options", [IndexOptions(), WIDE], ids=["compact", "wide"])
@pytest.mark.parametrize("schema", SCHEMAS, ids=spell)
def test_walks_along_the_mask_end_in_valid_json(
    schema: dict[str, Any], options: IndexOptions, vocabulary: Vocabulary
) -> None:
    validator = Draft202012Validator(schema, validate_formats=True)
    index = compile_index(JsonSchema(json.dumps(schema)), vocabulary, options)
    rng = random.Random(spell(schema))
    texts = [text for _ in range(20) if (text := walk(index, rng)) is not None]
    assert texts
    for text in texts:
        assert validator.is_valid(json.loads(text, object_pairs_hook=unique)), text
