"""Choices among objects: what is required beside a choice tells its alternatives apart as well."""

import json
from typing import Any

import pytest
from formwork_engine import (
    Budget,
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

Schema = dict[str, Any]
ANY_ORDER = IndexOptions(property_order=PropertyOrder.ANY)
TAGS = ["a", "b", "c", "d"]
VALUES = st.sampled_from([*TAGS, 1, None, [], {"p": 1}, {"p": "x"}, {}])
INSTANCES = st.dictionaries(st.sampled_from(["tag", "sort", "body"]), VALUES, max_size=3)
BODIES = [
    {"type": "object", "required": ["p"]},
    {"type": "object", "properties": {"p": {"type": "integer"}}},
    {"type": "object", "additionalProperties": False},
    {"type": "string"},
]


def check_verdicts(schema: Schema, instances: list[Schema], vocabulary: Vocabulary) -> None:
    try:
        index = compile_index(JsonSchema(json.dumps(schema)), vocabulary, ANY_ORDER)
    except UnsupportedError:  # nothing fits
        index = None
    validator = Draft202012Validator(schema)
    for instance in instances:
        text = json.dumps(instance, separators=(",", ":"))
        is_accepted = index is not None and accepts(index, text)
        assert is_accepted == validator.is_valid(instance), text


def beside(choice: Schema, needed: Schema) -> Schema:
    return {**choice, **needed}


def before_in_all(choice: Schema, needed: Schema) -> Schema:
    return {"allOf": [needed, choice]}


def behind_references(choice: Schema, needed: Schema) -> Schema:
    base = {"$defs": {"base": needed, "choice": choice, "one": {"$ref": "#/$defs/choice"}}}
    return {**base, "allOf": [{"$ref": "#/$defs/one"}, {"$ref": "#/$defs/base"}]}


def around_another(choice: Schema, needed: Schema) -> Schema:
    defs = {"choice": {"type": "object", "required": ["body"], **choice}}
    return {"$defs": defs, "$ref": "#/$defs/choice", **needed}


def in_one_alternative(choice: Schema, needed: Schema) -> Schema:
    return {"anyOf": [{**choice, **needed}, {"not": choice, "required": ["sort"]}]}


def recursive(choice: Schema, needed: Schema) -> Schema:
    body = {"properties": {"body": {"anyOf": [{"$ref": "#/$defs/self"}, {"type": "null"}]}}}
    return {"$defs": {"self": {**choice, "allOf": [body, needed]}}, "$ref": "#/$defs/self"}


PLACES = st.sampled_from(
    [beside, before_in_all, behind_references, around_another, in_one_alternative, recursive]
)
ALTERNATIVES = st.lists(
    st.builds(
        lambda tags, body: {"properties": {"tag": {"enum": tags}, "body": body}},
        st.lists(st.sampled_from(TAGS), min_size=1, max_size=2, unique=True),
        st.sampled_from(BODIES),
    ),
    min_size=2,
    max_size=5,
)
NEEDED = st.sampled_from([["tag"], ["tag", "body"], ["sort"], []])


@settings(max_examples=150, deadline=None)
@given(
    place=PLACES,
    alternatives=ALTERNATIVES,
    needed=NEEDED,
    instances=st.lists(INSTANCES, min_size=12, max_size=12),
)
def test_what_is_accepted_is_what_is_valid(
    vocabulary: Vocabulary,
    place: Any,  # noqa: ANN401 - one of the functions above
    alternatives: list[Schema],
    needed: list[str],
    instances: list[Schema],
) -> None:
    schema = place({"oneOf": alternatives}, {"type": "object", "required": needed})
    check_verdicts(schema, instances, vocabulary)


@pytest.mark.parametrize("place", [beside, before_in_all, behind_references, around_another])
def test_forty_alternatives_may_begin_with_what_does_not_tell_them_apart(
    vocabulary: Vocabulary,
    place: Any,  # noqa: ANN401 - one of the functions above
) -> None:
    alternatives = [
        {
            "properties": {
                "tag": {"const": f"tag{number}"},
                "body": {"properties": {f"p{number}": {}}, "additionalProperties": False},
            }
        }
        for number in range(40)
    ]
    schema = place({"oneOf": alternatives}, {"type": "object", "required": ["tag"]})
    budget = Budget(mask_fuel=20_000)
    text = JsonSchema(json.dumps(schema))
    index = compile_index(text, vocabulary, ANY_ORDER, budget=budget)
    assert accepts(index, '{"body":{"p7":1},"tag":"tag7"}')
    assert accepts(index, '{"body":{},"tag":"tag39"}')
    assert not accepts(index, '{"body":{"p7":1},"tag":"tag8"}')
    assert not accepts(index, '{"body":{"p7":1,"p8":1},"tag":"tag7"}')


def test_alternatives_with_words_in_common_take_little_fuel(vocabulary: Vocabulary) -> None:
    alternatives = [
        {
            "properties": {
                "land": {"enum": [f"L{number}"]},
                "part": {"enum": [f"{word:02}" for word in range(number, 90, number + 1)]},
                "code": {"maxLength": 4 + number},
            }
        }
        for number in range(11)
    ]
    schema = {"type": "object", "oneOf": alternatives}
    budget = Budget(mask_fuel=50_000)
    text = JsonSchema(json.dumps(schema))
    index = compile_index(text, vocabulary, ANY_ORDER, budget=budget)
    instances = [
        {"part": f"{word:02}", "code": "-" * length, **land}
        for word in (0, 1, 11, 54, 89)
        for length in (0, 5, 12)
        for land in ({}, {"land": "L1"}, {"land": "L10"})
    ]
    valid = [instance for instance in instances if Draft202012Validator(schema).is_valid(instance)]
    assert [i for i in instances if accepts(index, json.dumps(i, separators=(",", ":")))] == valid
    assert valid


CONDITIONS = st.lists(
    st.builds(
        lambda tags, kind, body, other: {
            "if": {"properties": {"tag": {"enum": tags}}, **kind},
            "then": {"properties": {"body": body}},
            **other,
        },
        st.lists(st.sampled_from(TAGS), min_size=1, max_size=2, unique=True),
        st.sampled_from([{"required": ["tag"]}, {"required": ["tag"]}, {}]),
        st.sampled_from([*BODIES, False]),
        st.sampled_from([{}, {}, {"else": {"properties": {"sort": {"enum": TAGS}}}}]),
    ),
    min_size=7,
    max_size=9,
)
ALONE = st.permutations(range(8)).map(
    lambda order: [
        {
            "if": {"properties": {"tag": {"const": ["a", "b", "c", "d", 1, None, {}, []][place]}}}
            | {"required": ["tag"]},
            "then": {"properties": {"body": BODIES[place % 4]}, "required": ["sort"][: place % 2]},
        }
        for place in order
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    conditions=st.one_of(CONDITIONS, ALONE),
    needed=NEEDED,
    is_negated=st.booleans(),
    instances=st.lists(INSTANCES, min_size=12, max_size=12),
)
def test_what_is_accepted_under_conditions_is_what_is_valid(
    vocabulary: Vocabulary,
    conditions: list[Schema],
    needed: list[str],
    is_negated: bool,  # noqa: FBT001 - a parameter of the test
    instances: list[Schema],
) -> None:
    schema: Schema = {"type": "object", "required": needed, "allOf": conditions}
    schema = {"not": schema, "type": "object"} if is_negated else schema
    check_verdicts(schema, instances, vocabulary)


def test_thirty_conditions_take_little_fuel_wherever_their_property_is_written(
    vocabulary: Vocabulary,
) -> None:
    conditions = [
        {
            "if": {"properties": {"tag": {"const": f"tag{number}"}}, "required": ["tag"]},
            "then": {"properties": {"body": {"required": [f"p{number}"]}}},
        }
        for number in range(30)
    ]
    text = JsonSchema(json.dumps({"type": "object", "allOf": conditions}))
    budget = Budget(mask_fuel=50_000)
    index = compile_index(text, vocabulary, ANY_ORDER, budget=budget)
    assert accepts(index, '{"body":{"p7":1},"tag":"tag7"}')
    assert accepts(index, '{"body":{"p7":1},"tag":"other"}')
    assert accepts(index, '{"body":{}}')
    assert not accepts(index, '{"body":{"p7":1},"tag":"tag8"}')
