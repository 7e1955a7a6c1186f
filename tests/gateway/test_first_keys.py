"""Which keys come first is said only where it is certain, by the engine's own judgement."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from formwork_engine.errors import EngineError
from formwork_engine.index import compile_index
from formwork_engine.inputs import IndexOptions, JsonSchema
from formwork_engine.vocabulary import Vocabulary
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.first_keys import may_begin_with

BYTES = Vocabulary([bytes([n]) for n in range(256)] + [b""], special_ids=[256], end_ids=[256])
TEXT = {"type": "string"}
OPTIONS = IndexOptions(item_separator=", ", key_separator=": ")
KEYS = ("name", "parameters")


def object_of(*names: str, **said: object) -> dict[str, object]:
    return {"type": "object", "properties": dict.fromkeys(names, TEXT), **said}


def closed(*names: str, **said: object) -> dict[str, object]:
    return object_of(*names, additionalProperties=False, **said)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (TEXT, False),
        ({"type": ["array", "null"]}, False),
        ({"enum": ["name", ["name"]]}, False),
        ({"enum": [1, {"name": "x", "parameters": {}}]}, True),
        ({"const": {"name": 1}}, False),
        ({}, True),
        (True, True),
        (False, False),
        (object_of("city"), True),
        (closed("city"), False),
        (closed("name", "age"), False),
        (closed("name", "age", "parameters"), True),
        (closed("name", "age", "parameters", required=["age"]), False),
        (closed("name", "age", "parameters", required=["name"]), True),
        (closed("parameters", "name"), False),
        (closed("city", "name", "parameters"), True),
        (closed("city", "name", "parameters", required=["city"]), False),
        (object_of("name", "age"), True),
        (object_of("name", "age", required=["age"]), False),
        (object_of("name", "age", required=["parameters"]), True),
        ({**closed("name"), "patternProperties": {"^p": TEXT}}, True),
        ({**closed("name"), "if": True}, True),
        ({"anyOf": [closed("city"), {"type": "null"}]}, False),
        ({"anyOf": [closed("city"), {}]}, True),
        ({"anyOf": [closed("name"), closed("parameters")]}, False),
        ({"anyOf": [closed("parameters"), closed("name", "parameters")]}, True),
        ({"oneOf": [closed("parameters", "name"), {"type": "null"}]}, True),
        ({"type": "object", "oneOf": [closed("city")]}, False),
        ({"$ref": "#/$defs/a", "title": "T", "$defs": {"a": closed("name")}}, False),
        ({"$ref": "#/$defs/a", "$defs": {"a": closed(*KEYS)}}, True),
        ({"$ref": "#/$defs/a", "type": "string", "$defs": {"a": {}}}, True),
        ({"$ref": "#/nowhere"}, True),
        ({"$ref": "#"}, True),
        ({"allOf": [closed("city")]}, True),
    ],
)
def test_what_is_plain_is_told(schema: object, expected: bool) -> None:  # noqa: FBT001 - a parameter of the table
    assert may_begin_with(schema, KEYS) is expected


NAMES = st.sampled_from(["name", "parameters", "age", "city", "x"])


@st.composite
def schemas(draw: st.DrawFn) -> dict[str, object]:
    """Return objects whose members, and theirs, stand in any order."""
    said: dict[str, object] = {"type": "object"}
    if draw(st.booleans()):
        said["required"] = draw(st.lists(NAMES, max_size=3, unique=True))
    said["properties"] = dict.fromkeys(draw(st.lists(NAMES, max_size=4, unique=True)), TEXT)
    if draw(st.booleans()):
        said["additionalProperties"] = draw(st.sampled_from([False, True, TEXT]))
    if draw(st.integers(0, 3)) == 0:
        said["patternProperties"] = {"^p": TEXT}
    return dict(draw(st.permutations(list(said.items()))))


def accepts(schema: Mapping[str, Any], text: str) -> bool:
    """Return whether the engine lets a text under a schema begin so."""
    try:
        cursor = compile_index(JsonSchema(json.dumps(schema)), BYTES, OPTIONS).cursor()
        for byte in text.encode():
            cursor.advance(byte)
    except EngineError:
        return False
    return True


@settings(deadline=None, max_examples=300)
@given(
    branches=st.lists(schemas(), min_size=1, max_size=2),
    keys=st.lists(NAMES, min_size=1, max_size=2, unique=True),
)
def test_the_engine_never_writes_what_was_said_not_to_come(
    branches: list[dict[str, object]], keys: Sequence[str]
) -> None:
    schema = branches[0] if len(branches) == 1 else {"anyOf": branches}
    written = "{" + ", ".join(f'"{key}": "x"' for key in keys)
    assert may_begin_with(schema, keys) or not accepts(schema, written)
