"""The canonical form: what is part of an index's id, and what is not."""

import dataclasses
import json
from typing import Any

import pytest
from formwork_engine import (
    AnyJson,
    Budget,
    GrammarInput,
    IndexOptions,
    JsonSchema,
    Lark,
    Regex,
    Whitespace,
)
from hypothesis import given
from hypothesis import strategies as st

from compiler_service.canonical import CanonicalGrammar, canonicalise, id_of
from mesh.ids import Fingerprint


@pytest.mark.parametrize(
    ("schema", "canonical"),
    [
        ({"title": "t", "description": "d", "type": "null"}, {"type": "null"}),
        ({"default": 1, "examples": [1], "$comment": "c", "deprecated": True}, {}),
        ({"properties": {"title": {"title": "t"}}}, {"properties": {"title": {}}}),
        ({"properties": {"default": {"default": 1}}}, {"properties": {"default": {}}}),
        ({"const": {"title": 1}}, {"const": {"title": 1}}),
        ({"enum": [{"description": 1}]}, {"enum": [{"description": 1}]}),
        ({"required": ["title"]}, {"required": ["title"]}),
        ({"items": {"title": "t"}}, {"items": {}}),
        ({"items": [{"title": "t"}, True]}, {"items": [{}, True]}),
        ({"anyOf": [{"title": "t"}]}, {"anyOf": [{}]}),
        ({"$defs": {"title": {"title": "t"}}}, {"$defs": {"title": {}}}),
        (
            {"dependencies": {"a": ["title"], "b": {"title": ""}}},
            {"dependencies": {"a": ["title"], "b": {}}},
        ),
        ({"additionalProperties": {"title": "t"}}, {"additionalProperties": {}}),
        ({"x-note": {"type": "null"}, "type": "null"}, {"type": "null"}),
        (
            {"$ref": "#/parts/a", "parts": {"a": {"title": "t"}}},
            {"$ref": "#/parts/a", "parts": {"a": {"title": "t"}}},
        ),
        ({"$ref": "#/%70arts/a", "parts": {"a": {}}}, {"$ref": "#/%70arts/a", "parts": {"a": {}}}),
        (True, True),
    ],
)
def test_annotations_go_by_the_position_of_a_schema(schema: object, canonical: object) -> None:
    assert canonicalise(schema) == json.dumps(canonical, separators=(",", ":"))


def test_the_order_of_keys_stays() -> None:
    one = canonicalise({"properties": {"b": {}, "a": {}}, "type": "object"})
    other = canonicalise({"properties": {"a": {}, "b": {}}, "type": "object"})
    assert one != other


def test_spelling_and_spaces_of_the_text_do_not_matter() -> None:
    texts = ('{"const": "é"}', '{ "const" :\n"\\u00e9" }')
    assert len({canonicalise(json.loads(text)) for text in texts}) == 1


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "type", "items", "title", "anyOf", "$ref"]), inner)
    ),
    max_leaves=12,
)


@given(value=st.dictionaries(st.sampled_from(["items", "anyOf", "title", "properties"]), _JSON))
def test_the_canonical_form_of_a_canonical_form_is_itself(value: dict[str, Any]) -> None:
    once = canonicalise(value)
    assert canonicalise(json.loads(once)) == once


GRAMMARS: list[GrammarInput] = [
    JsonSchema("{}"),
    AnyJson(),
    AnyJson(object_only=True),
    Regex("a"),
    Lark("a"),
    Lark("é\n"),
]


def canonical_grammar(**changes: object) -> CanonicalGrammar:
    base = CanonicalGrammar(JsonSchema("{}"), IndexOptions(), Budget(), Fingerprint("f" * 64))
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type] # by the test's names


def test_everything_an_index_depends_on_is_in_its_id() -> None:
    variants = [
        *(canonical_grammar(grammar=grammar) for grammar in GRAMMARS),
        canonical_grammar(options=IndexOptions(item_separator=", ")),
        canonical_grammar(options=IndexOptions(whitespace=Whitespace.BOUNDED, max_whitespace=1)),
        canonical_grammar(options=IndexOptions(format_assertion=False)),
        canonical_grammar(options=IndexOptions(remotes=(("urn:a", "{}"),))),
        canonical_grammar(budget=Budget(max_depth=3)),
        canonical_grammar(fingerprint=Fingerprint("e" * 64)),
        canonical_grammar(engine_version="another"),
    ]
    assert len({variant.index_id for variant in variants}) == len(variants)
    assert all(len(variant.index_id) == 64 for variant in variants)


def test_options_come_back_from_bytes() -> None:
    options = IndexOptions(remotes=(("urn:a", "{}"),), format_assertion=False, key_separator=": ")
    canonical = canonical_grammar(options=options)
    assert CanonicalGrammar.from_bytes(canonical.to_bytes()) == canonical


@pytest.mark.parametrize("grammar", GRAMMARS, ids=repr)
def test_bytes_give_back_the_grammar_they_were_made_of(grammar: GrammarInput) -> None:
    canonical = canonical_grammar(grammar=grammar)
    assert CanonicalGrammar.from_bytes(canonical.to_bytes()) == canonical
    assert id_of(canonical.to_bytes()) == canonical.index_id


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"kind": "json_schema"}',
        canonical_grammar().to_bytes() + b" ",
        canonical_grammar().to_bytes().replace(b'"max_depth":256', b'"max_depth":256.0'),
        canonical_grammar().to_bytes().replace(b'"canonical":3', b'"canonical":2'),
        canonical_grammar().to_bytes().replace(b'"compact"', b'"roomy"'),
        b"[" * 100_000,
    ],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        CanonicalGrammar.from_bytes(data)
