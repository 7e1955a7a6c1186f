"""An index as bytes: the same each time, checked, and never a crash."""

from hashlib import sha256

import pytest
from formwork_engine import (
    ENGINE_VERSION,
    AnyJson,
    Budget,
    EngineError,
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
)
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
    spelled = compile_index(Regex('"\\n?'), vocabulary, IndexOptions(in_json_string=True))
    loaded = Index.load(spelled.dump(), vocabulary)
    assert accepts(loaded, r"\"\n")
    assert not accepts(loaded, '"')


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
        Index.load(b"FWINDEX\0" + data, vocabulary)


def test_an_index_of_another_vocabulary_is_refused(index: Index) -> None:
    other = Vocabulary([b"a", b""], special_ids=[], end_ids=[1])
    with pytest.raises(IndexFormatError, match="vocabulary"):
        Index.load(index.dump(), other)


def resealed(index: bytes) -> bytes:
    """Return bytes of an index with the checksum that fits the rest, as src/index_bytes.rs says."""
    checksum = sha256(index[:48] + index[80:]).digest()
    return index[:48] + checksum + index[80:]


def test_an_index_of_another_engine_is_refused(index: Index, vocabulary: Vocabulary) -> None:
    assert resealed(index.dump()) == index.dump()
    version = ENGINE_VERSION.encode()
    other = index.dump().replace(version, b"x" * len(version))
    with pytest.raises(IndexFormatError, match="engine"):
        Index.load(resealed(other), vocabulary)


@given(data=st.data())
def test_a_changed_body_with_a_right_checksum_gives_an_index_or_an_error(
    vocabulary: Vocabulary, index: Index, data: st.DataObject
) -> None:
    dumped = bytearray(index.dump())
    place = data.draw(st.integers(80 + len(ENGINE_VERSION), len(dumped) - 1))
    dumped[place] ^= data.draw(st.integers(1, 255))
    try:
        changed = Index.load(resealed(bytes(dumped)), vocabulary)
    except EngineError:
        return
    assert not accepts(changed, "nonsense")
