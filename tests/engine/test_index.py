"""An index as bytes: the same each time, checked, and never a crash."""

import json

import pytest
from formwork_engine import (
    AnyJson,
    Budget,
    GrammarInput,
    Index,
    IndexFormatError,
    IndexOptions,
    JsonSchema,
    Lark,
    Regex,
    Vocabulary,
    Whitespace,
    compile_index,
    index_format,
)
from formwork_engine.index_format import IndexContent, write_index
from formwork_engine.testing import accepts
from hypothesis import given
from hypothesis import strategies as st

SCHEMA = JsonSchema('{"type":"object","properties":{"a":{"type":"boolean"}},"required":["a"]}')


@pytest.fixture(scope="module")
def index(vocabulary: Vocabulary) -> Index:
    return compile_index(SCHEMA, vocabulary)


@pytest.mark.parametrize(
    ("grammar", "text"),
    [
        (SCHEMA, '{"a":true}'),
        (AnyJson(object_only=True), '{"x":[1,null]}'),
        (AnyJson(), "[]"),
        (Regex("[0-9]{3}-[a-z]+"), "123-abc"),
        (Lark('start: "x" item+\nitem: "," /[0-9]/'), "x,1,2"),
    ],
)
def test_a_loaded_index_is_the_one_that_was_dumped(
    vocabulary: Vocabulary, grammar: GrammarInput, text: str
) -> None:
    data = compile_index(grammar, vocabulary).dump()
    loaded = Index.load(data, vocabulary)
    assert loaded.dump() == data
    assert accepts(loaded, text)


def test_options_and_budget_survive(vocabulary: Vocabulary) -> None:
    options = IndexOptions(whitespace=Whitespace.BOUNDED, max_whitespace=2)
    budget = Budget(max_depth=7)
    loaded = Index.load(compile_index(SCHEMA, vocabulary, options, budget).dump(), vocabulary)
    assert accepts(loaded, '{ "a": true }')
    assert not accepts(loaded, '{   "a": true }')


@given(data=st.data())
def test_a_changed_byte_is_noticed(
    vocabulary: Vocabulary, index: Index, data: st.DataObject
) -> None:
    dumped = bytearray(index.dump())
    place = data.draw(st.integers(0, len(dumped) - 1))
    dumped[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(IndexFormatError):
        Index.load(bytes(dumped), vocabulary)


@given(size=st.integers(0, 10_000))
def test_a_cut_is_noticed(vocabulary: Vocabulary, index: Index, size: int) -> None:
    dumped = index.dump()
    with pytest.raises(IndexFormatError):
        Index.load(dumped[: size % len(dumped)], vocabulary)


@given(data=st.binary(max_size=200))
def test_foreign_bytes_are_refused(vocabulary: Vocabulary, data: bytes) -> None:
    with pytest.raises(IndexFormatError):
        Index.load(data, vocabulary)
    with pytest.raises(IndexFormatError):
        Index.load(index_format.MAGIC + data, vocabulary)


def test_an_index_of_another_vocabulary_is_refused(index: Index) -> None:
    other = Vocabulary([b"a", b""], special_ids=[], end_ids=[1])
    with pytest.raises(IndexFormatError, match="vocabulary"):
        Index.load(index.dump(), other)


def test_an_index_of_another_engine_is_refused(
    monkeypatch: pytest.MonkeyPatch, vocabulary: Vocabulary, index: Index
) -> None:
    dumped = index.dump()
    monkeypatch.setattr(index_format, "ENGINE_VERSION", "another")
    with pytest.raises(IndexFormatError, match="engine"):
        Index.load(dumped, vocabulary)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "unknown"},
        {"grammar": {"text": 5}},
        {"grammar": {}},
        {"grammar": []},
        {"options": {"whitespace": "much"}},
        {"budget": {"max_bytes": "9"}},
        {"budget": None},
        {"lowered": 3},
    ],
)
def test_a_body_of_the_wrong_shape_is_refused_even_with_a_right_checksum(
    monkeypatch: pytest.MonkeyPatch, vocabulary: Vocabulary, change: dict[str, object]
) -> None:
    content = IndexContent(SCHEMA, IndexOptions(), Budget(), "start: ")
    written = index_format._write_body(content)
    changed = json.dumps({**json.loads(written), **change}).encode()
    monkeypatch.setattr(index_format, "_write_body", lambda _: changed)
    with pytest.raises(IndexFormatError, match="malformed body"):
        Index.load(write_index(content, vocabulary.fingerprint), vocabulary)
