"""Numbers between bounds: the written ones are exactly those that the bounds admit."""

import json
from typing import Any

import jsonschema_rs
import pytest
from formwork_engine import (
    EngineError,
    Index,
    JsonSchema,
    UnsupportedError,
    Vocabulary,
    compile_index,
)
from formwork_engine.testing import accepts
from hypothesis import given, settings
from hypothesis import strategies as st

_BOUNDS = st.one_of(
    st.integers(-1200, 1200),
    st.decimals(-150, 150, places=3).map(float),
    st.sampled_from([0, 1, -1, 0.1, 1e-7, 99.99, 1e15, -1e15, 10**17]),
)
_VALUES = st.one_of(st.integers(-1300, 1300), st.decimals(-160, 160, places=4).map(float))


def schema_of(bounds: dict[str, float], *, is_integer: bool) -> dict[str, Any]:
    return {"type": "integer" if is_integer else "number", **bounds}


_KEYWORDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_SCHEMAS = st.builds(
    schema_of,
    st.dictionaries(st.sampled_from(_KEYWORDS), _BOUNDS, max_size=3),
    is_integer=st.booleans(),
)


def find_index(schema: dict[str, Any], vocabulary: Vocabulary) -> Index | None:
    try:
        return compile_index(JsonSchema(json.dumps(schema)), vocabulary)
    except UnsupportedError:  # nothing fits, which the caller checks
        return None


def spelled(value: float) -> str:
    """Return the one spelling of a number, if it needs no exponent."""
    return str(int(value)) if value == int(value) else repr(value)


@settings(max_examples=60, deadline=None)
@given(schema=_SCHEMAS, values=st.lists(_VALUES, min_size=20, max_size=20))
def test_written_numbers_are_the_admitted_ones(
    vocabulary: Vocabulary, schema: dict[str, Any], values: list[float]
) -> None:
    validator, index = jsonschema_rs.validator_for(schema), find_index(schema, vocabulary)
    for value in (*values, *(schema[keyword] for keyword in _KEYWORDS if keyword in schema)):
        written = spelled(value)
        if "e" not in written:
            is_accepted = index is not None and accepts(index, written)
            assert is_accepted == validator.is_valid(value), (schema, written)


@pytest.fixture(scope="module")
def numbers(vocabulary: Vocabulary) -> Index:
    return compile_index(JsonSchema('{"type":"number"}'), vocabulary)


@pytest.mark.parametrize("text", ["0", "-1", "12.5", "0.001", "-0.5", "99999999999999999"])
def test_a_number_has_its_one_spelling(numbers: Index, text: str) -> None:
    assert accepts(numbers, text)


@pytest.mark.parametrize(
    "text", ["-0", "00", "1.0", "1.50", ".5", "1.", "+1", "1e5", "1E400", "9" * 400, "-0.0", "0x1"]
)
def test_other_spellings_and_huge_numbers_are_refused(numbers: Index, text: str) -> None:
    assert not accepts(numbers, text)


@pytest.mark.parametrize(
    ("schema", "texts", "refused"),
    [
        ({"multipleOf": 0.01, "minimum": 0}, ["0", "1.25", "7.1"], ["1.255", "-1"]),
        ({"multipleOf": 7, "maximum": 50}, ["0", "49", "-7"], ["48", "56"]),
        ({"type": "integer", "multipleOf": 1.5}, ["3", "0", "-6"], ["1.5", "4"]),
        ({"multipleOf": 1}, ["3"], ["3.5"]),
        ({"enum": [1, 2.5, 1e-7, 10**20]}, ["1", "2.5", "0.0000001", "1" + "0" * 20], ["2", "1.0"]),
        ({"const": 1.0}, ["1"], ["1.0", "2"]),
        ({"enum": [1, 2, 3], "minimum": 2}, ["2", "3"], ["1"]),
    ],
)
def test_multiples_and_listed_numbers(
    vocabulary: Vocabulary, schema: dict[str, Any], texts: list[str], refused: list[str]
) -> None:
    index = compile_index(JsonSchema(json.dumps({"type": "number", **schema})), vocabulary)
    assert [text for text in texts if not accepts(index, text)] == []
    assert [text for text in refused if accepts(index, text)] == []


@pytest.mark.parametrize(
    "bounds",
    [
        {"minimum": 2, "maximum": 1},
        {"exclusiveMinimum": 1, "maximum": 1},
        {"type": "integer", "minimum": 0.3, "maximum": 0.7},
        {"minimum": 1, "maximum": 6, "multipleOf": 7},
        {"enum": []},
    ],
)
def test_contradictions_are_refused(vocabulary: Vocabulary, bounds: dict[str, Any]) -> None:
    with pytest.raises(EngineError):
        compile_index(JsonSchema(json.dumps({"type": "number", **bounds})), vocabulary)
