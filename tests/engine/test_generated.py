"""Generated schemas and instances: the engine's verdict is an independent validator's."""

import json
import re
from typing import Any

from formwork_engine import (
    Cursor,
    CursorError,
    Index,
    IndexOptions,
    JsonSchema,
    PropertyOrder,
    Spellings,
    UnsupportedError,
    Vocabulary,
    Whitespace,
    compile_index,
)
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis_jsonschema import from_schema
from jsonschema_rs import Draft202012Validator

BYTES = Vocabulary([*(bytes([byte]) for byte in range(256)), b""], special_ids=[], end_ids=[256])
WIDE = IndexOptions(
    whitespace=Whitespace.BOUNDED,
    max_whitespace=1,
    property_order=PropertyOrder.ANY,
    spellings=Spellings.ALL,
)
NAMES = st.sampled_from(["a", "b", "ab", ""])
SMALL = st.integers(0, 3)
SCALARS = st.none() | st.booleans() | st.integers(-3, 12) | st.sampled_from(["", "a", "ab", 0.5])
INSTANCES = st.recursive(
    SCALARS | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
ASSERTIONS = {
    "type": st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"]),
    "enum": st.lists(INSTANCES, min_size=1, max_size=3),
    "const": INSTANCES,
    "minimum": st.integers(-3, 5),
    "exclusiveMaximum": st.integers(0, 12),
    "multipleOf": st.sampled_from([2, 3, 0.5]),
    "minLength": SMALL,
    "maxLength": SMALL,
    "pattern": st.sampled_from(["^a", "b$", "^[ab]*$", "a|b"]),
    "minItems": SMALL,
    "maxItems": SMALL,
    "uniqueItems": st.booleans(),
    "required": st.lists(NAMES, max_size=2, unique=True),
    "minProperties": SMALL,
    "maxProperties": SMALL,
    "dependentRequired": st.dictionaries(NAMES, st.lists(NAMES, max_size=1), max_size=1),
}


# What hypothesis-jsonschema 0.23 cannot generate with the hypothesis of today.
OF_OBJECTS = {"required", "minProperties", "maxProperties", "dependentRequired"}


LONG_NUMBER = re.compile(r"[0-9]{16}|[0-9]e[-+]")  # more digits than the engine writes


def applicators(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    several, named = st.lists(inner, min_size=1, max_size=2), st.dictionaries(NAMES, inner)
    one = ("not", "if", "then", "else", "items", "contains", "propertyNames")
    one += ("additionalProperties", "unevaluatedProperties", "unevaluatedItems")
    held = {
        **dict.fromkeys(one, inner),
        **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), several),
        **dict.fromkeys(("properties", "dependentSchemas"), named),
        "patternProperties": st.dictionaries(st.sampled_from(["^a", "b$"]), inner, max_size=2),
    }
    return some_of(held, most=3)


def some_of(keywords: dict[str, Any], most: int) -> st.SearchStrategy[dict[str, Any]]:
    chosen = st.lists(st.sampled_from(sorted(keywords)), max_size=most, unique=True)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({n: keywords[n] for n in names}))


SCHEMAS = st.recursive(
    st.booleans() | some_of(ASSERTIONS, most=2),
    lambda inner: st.builds(
        lambda one, other: {**one, **other}, some_of(ASSERTIONS, most=1), applicators(inner)
    ),
    max_leaves=5,
)
BOUNDED = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def find_index(schema: Any) -> Index | None:  # noqa: ANN401 - JSON
    try:
        return compile_index(JsonSchema(json.dumps(schema)), BYTES, WIDE)
    except UnsupportedError as error:
        if error.reason != "allows no value":  # else the caller checks that nothing fits
            raise
        return None


def accepts(index: Index | None, text: str) -> bool:
    return index is not None and has_read(index.cursor(), text)


def has_read(cursor: Cursor, text: str) -> bool:
    try:
        for byte in text.encode():
            cursor.advance(byte)
    except CursorError:
        return False
    return cursor.may_end


@BOUNDED
@given(schema=SCHEMAS, instances=st.lists(INSTANCES, min_size=8, max_size=8))
def test_any_instance_is_judged_as_the_validator_does(schema: Any, instances: list[Any]) -> None:  # noqa: ANN401 - JSON
    validator, index = Draft202012Validator(schema), find_index(schema)
    for instance in instances:
        text = json.dumps(instance)
        assert accepts(index, text) == validator.is_valid(instance), (schema, text)


@BOUNDED
@given(data=st.data())
def test_what_another_generator_makes_of_a_schema_is_accepted(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["integer", "number", "string", "array"]))
    assertions = {name: ASSERTIONS[name] for name in ASSERTIONS if name not in OF_OBJECTS}
    schema = {**data.draw(some_of(assertions, most=2)), "type": kind}
    validator = Draft202012Validator(schema)
    instance = data.draw(from_schema(schema))
    text = json.dumps(instance)
    assume(validator.is_valid(instance) and not LONG_NUMBER.search(text))
    assert accepts(find_index(schema), text), (schema, text)
