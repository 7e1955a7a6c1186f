"""To draft 4, an integer is written without a fraction or exponent part."""

import json
from typing import Any

import jsonschema_rs
import pytest
from formwork_engine import (
    Index,
    IndexOptions,
    JsonSchema,
    Spellings,
    UnsupportedError,
    Vocabulary,
    compile_index,
)
from formwork_engine.testing import accepts
from hypothesis import given, settings
from hypothesis import strategies as st

DRAFT4 = "http://json-schema.org/draft-04/schema#"
EVERY_SPELLING = IndexOptions(spellings=Spellings.ALL)

_LEAVES = st.sampled_from(
    [
        {"type": "integer"},
        {"type": "number"},
        {"type": ["integer", "null"]},
        {"not": {"type": "integer"}},
        {"minimum": 2},
        {"maximum": 3},
        {"multipleOf": 2},
        {"multipleOf": 0.5},
        {"not": {"multipleOf": 3}},
        {"enum": [0, 2, 2.5]},
        {"not": {"enum": [1, 2]}},
        {"type": "integer", "minimum": 1, "maximum": 4, "exclusiveMaximum": True},
    ]
)
_SCHEMAS = st.recursive(
    _LEAVES,
    lambda inner: (
        st.builds(
            lambda keyword, parts: {keyword: parts},
            st.sampled_from(["allOf", "anyOf", "oneOf"]),
            st.lists(inner, min_size=2, max_size=3),
        )
        | st.builds(lambda part: {"not": part}, inner)
    ),
    max_leaves=5,
)
_WHOLE = ["0", "-0", "1", "2", "3", "-4", "12", "20"]
_TEXTS = [
    *_WHOLE,
    *(text + ".0" for text in _WHOLE),
    *(text + "e0" for text in _WHOLE),
    *("2.5", "0.5", "-1.50", "25e-1", "0.2e1", "2E+0", "20e-1", "0.0e3"),
]


def find_index(schema: dict[str, Any], vocabulary: Vocabulary) -> Index | None:
    text = JsonSchema(json.dumps({"$schema": DRAFT4, **schema}))
    try:
        return compile_index(text, vocabulary, EVERY_SPELLING)
    except UnsupportedError:  # nothing fits, which the caller checks
        return None


@settings(max_examples=150, deadline=None)
@given(schema=_SCHEMAS)
def test_a_text_is_accepted_if_draft_4_allows_the_number_written_so(
    vocabulary: Vocabulary, schema: dict[str, Any]
) -> None:
    validator, index = jsonschema_rs.Draft4Validator(schema), find_index(schema, vocabulary)
    for text in _TEXTS:
        is_accepted = index is not None and accepts(index, text)
        assert is_accepted == validator.is_valid(json.loads(text)), text


def test_since_draft_6_a_number_whose_fraction_is_zero_is_an_integer(
    vocabulary: Vocabulary,
) -> None:
    for draft in ("http://json-schema.org/draft-06/schema#", None):
        schema = {"type": "integer"} | ({"$schema": draft} if draft else {})
        index = compile_index(JsonSchema(json.dumps(schema)), vocabulary, EVERY_SPELLING)
        assert [text for text in ("12", "12.0", "12e0") if not accepts(index, text)] == []


@pytest.mark.parametrize(
    ("items", "accepted", "refused"),
    [
        ({"type": "integer"}, ["[1,2]"], ["[1,1]", "[1,1.0]", "[1.0]"]),
        ({"not": {"type": "integer"}}, ["[1.0,2e0]"], ["[1.0,1e0]", "[1]"]),
        ({"type": "integer", "minimum": 1, "maximum": 2}, ["[2,1]"], ["[1,2,1]", "[1,2,3]"]),
    ],
)
def test_items_that_differ_in_their_spelling_alone_repeat_each_other(
    vocabulary: Vocabulary, items: dict[str, Any], accepted: list[str], refused: list[str]
) -> None:
    schema = {"type": "array", "items": items, "uniqueItems": True}
    index = find_index(schema, vocabulary)
    assert index is not None
    assert [text for text in accepted if not accepts(index, text)] == []
    assert [text for text in refused if accepts(index, text)] == []
