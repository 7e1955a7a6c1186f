"""Objects of many alternatives that overlap: what a property may be tells them apart, soon."""

import json
from typing import Any

from formwork_engine import (
    IndexOptions,
    JsonSchema,
    PropertyOrder,
    UnsupportedError,
    Vocabulary,
    compile_index,
)
from formwork_engine.testing import accepts
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

ANY_ORDER = IndexOptions(property_order=PropertyOrder.ANY)
KINDS = ["text", "mail", "date", "time", "list", "number", "money", "fixed", "group"]
VALUES = st.sampled_from([*KINDS, "other", 1, 2.5, None, True, [], {"a": 1}])
INSTANCES = st.dictionaries(st.sampled_from(["kind", "label", "size", "more"]), VALUES, max_size=4)
SHARED = [{"type": "string"}, {"enum": KINDS[:4]}, {"minimum": 2}, {"type": "object"}, {}]


def alternative(kinds: list[str], shared: list[dict[str, Any]], *, is_open: bool) -> dict[str, Any]:
    keys = ["label", "size"]
    properties = {"kind": {"enum": kinds}, **dict(zip(keys, shared, strict=True))}
    return {"type": "object", "properties": properties, "additionalProperties": is_open}


def dependency(kinds: list[str], key: str) -> dict[str, Any]:
    return {"dependentSchemas": {key: {"properties": {"kind": {"enum": kinds}}}}}


SOME_KINDS = st.lists(st.sampled_from(KINDS), min_size=1, max_size=3, unique=True)
ALTERNATIVES = st.builds(
    alternative,
    SOME_KINDS,
    st.lists(st.sampled_from(SHARED), min_size=2, max_size=2),
    is_open=st.booleans(),
)
MANY = st.lists(ALTERNATIVES, min_size=8, max_size=10)
SCHEMAS = st.one_of(
    MANY.map(lambda parts: {"oneOf": parts}),
    MANY.map(lambda parts: {"not": {"anyOf": parts[1:]}, **parts[0]}),
    st.lists(
        st.builds(dependency, SOME_KINDS, st.sampled_from(["label", "size", "more"])),
        min_size=7,
        max_size=9,
    ).map(lambda parts: {"type": "object", "allOf": parts}),
)


@settings(max_examples=60, deadline=None)
@given(schema=SCHEMAS, instances=st.lists(INSTANCES, min_size=12, max_size=12))
def test_what_is_accepted_is_what_is_valid(
    vocabulary: Vocabulary, schema: dict[str, Any], instances: list[dict[str, Any]]
) -> None:
    validator = Draft202012Validator(schema)
    try:
        index = compile_index(JsonSchema(json.dumps(schema)), vocabulary, ANY_ORDER)
    except UnsupportedError:  # nothing fits
        index = None
    for instance in instances:
        text = json.dumps(instance, separators=(",", ":"))
        is_accepted = index is not None and accepts(index, text)
        assert is_accepted == validator.is_valid(instance), text


def test_twelve_alternatives_with_an_optional_tag_take_little_fuel(vocabulary: Vocabulary) -> None:
    alternatives = [
        {
            "type": "object",
            "properties": {
                "kind": {"enum": [f"kind{number}"]},
                "label": {"type": "string"},
                f"only{number}": {"type": "string"},
                "size": {"type": "integer"},
            },
            "required": ["label"],
            "additionalProperties": False,
        }
        for number in range(12)
    ]
    index = compile_index(JsonSchema(json.dumps({"oneOf": alternatives})), vocabulary)
    assert accepts(index, '{"kind":"kind7","label":"","size":3}')
    assert accepts(index, '{"label":"","only3":""}')
    assert not accepts(index, '{"label":"","size":3}')  # all of them allow it
    assert not accepts(index, '{"kind":"kind7","label":"","only3":""}')


def test_exactly_one_of_many_keys_is_enforced(vocabulary: Vocabulary) -> None:
    alternatives = [{"type": "object", "required": [f"k{number}"]} for number in range(160)]
    index = compile_index(JsonSchema(json.dumps({"oneOf": alternatives})), vocabulary, ANY_ORDER)
    assert accepts(index, '{"k3":1}')
    assert accepts(index, '{"other":1,"k159":null}')
    assert [
        text for text in ("{}", '{"other":1}', '{"k3":1,"k159":1}') if accepts(index, text)
    ] == []


def test_alternatives_are_satisfied_by_what_breaks_all_others(vocabulary: Vocabulary) -> None:
    alternatives = [
        {
            "type": "object",
            "properties": {f"k{number}": {"const": number}, "tag": {"type": kind}},
            "required": [f"k{number}" if number % 2 else "tag"],
        }
        for number, kind in enumerate(["string", "null", "integer"] * 13)
    ]
    schema = {"oneOf": alternatives}
    index = compile_index(JsonSchema(json.dumps(schema)), vocabulary, ANY_ORDER)
    broken = {f"k{number}": None for number in range(0, 39, 2)}
    instances = [{"k1": 1}, {"k1": 1, "k3": 3}, {"k1": 0}, {"tag": []}, {"tag": None}]
    instances += [{"tag": None, **broken}, {"tag": None, **broken, "k4": 4}, {"tag": [], "k1": 1}]
    valid = [instance for instance in instances if Draft202012Validator(schema).is_valid(instance)]
    assert [i for i in instances if accepts(index, json.dumps(i, separators=(",", ":")))] == valid
    assert valid == [{"k1": 1}, {"tag": None, **broken, "k4": 4}]


def test_alternatives_with_long_lists_that_overlap_are_told_apart(vocabulary: Vocabulary) -> None:
    words = [f"{number:03}" for number in range(150)]
    alternatives = [
        {"properties": {"land": {"enum": [f"L{n}"]}, "part": {"enum": words[10 * n : 10 * n + 60]}}}
        for n in range(10)
    ]
    schema = {"type": "object", "oneOf": alternatives}
    index = compile_index(JsonSchema(json.dumps(schema)), vocabulary, ANY_ORDER)
    lands = [{}, {"land": "L0"}, {"land": "L9"}, {"land": "none"}]
    parts: list[dict[str, str]] = [{}, *({"part": word} for word in words[::7])]
    instances = [{**part, **land} for part in parts for land in lands]
    valid = [instance for instance in instances if Draft202012Validator(schema).is_valid(instance)]
    assert [i for i in instances if accepts(index, json.dumps(i, separators=(",", ":")))] == valid
