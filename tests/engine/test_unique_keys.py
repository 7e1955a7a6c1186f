"""Keys never repeat in an object, whatever the tokens and the spelling."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from formwork_engine import (
    CursorError,
    Index,
    IndexOptions,
    JsonSchema,
    Spellings,
    compile_index,
    load_vocabulary,
)
from formwork_engine.testing import accepts

MODEL = Path(__file__).parents[2] / "models" / "formwork-mini"


@pytest.fixture(scope="module")
def index() -> Index:
    schema = '{"type":"object","properties":{"a":{}},"additionalProperties":{"type":"integer"}}'
    return compile_index(JsonSchema(schema), load_vocabulary(MODEL))


@pytest.fixture(scope="module")
def spellings() -> Index:
    options = IndexOptions(spellings=Spellings.ALL)
    return compile_index(JsonSchema("{}"), load_vocabulary(MODEL), options)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2}',
        '{"a":1,"\\u0061":2}',
        '{"a":{"b":1,"b":2}}',
        '[{"x":1},{"y":[],"y":1}]',
        '{"a\\"":1,"a\\"":2}',
        '{"":1,"":2}',
    ],
)
def test_a_text_in_which_a_key_repeats_is_refused(spellings: Index, text: str) -> None:
    assert not accepts(spellings, text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"b":2}',
        '{"a":{"a":1},"b":{"a":1}}',
        '[{"a":1},{"a":1}]',
        '{"a":"\\"a\\":","b":[",","a"]}',
        '{"a\\\\":1,"a":2}',
        '["a","a"]',
    ],
)
def test_other_texts_are_read_to_their_end(spellings: Index, text: str) -> None:
    assert accepts(spellings, text)


def test_a_mask_has_no_token_that_repeats_a_key(index: Index) -> None:
    vocabulary = index.vocabulary
    cursor = index.cursor()
    for token_id in vocabulary.tokenize(b'{"k":1,"k'):
        cursor.advance(token_id)
    row = np.zeros(vocabulary.words, dtype=np.int32)
    cursor.fill_mask(row)
    bits = np.unpackbits(row.view(np.uint8), bitorder="little")
    allowed = [vocabulary.token_bytes(int(i)) for i in np.flatnonzero(bits)]
    assert allowed
    assert not [token for token in allowed if token.startswith(b'"')]
    with pytest.raises(CursorError):
        cursor.advance(vocabulary.tokenize(b'":')[0])


def test_rollback_and_fork_remember_the_keys_of_their_place(index: Index) -> None:
    tokenize = index.vocabulary.tokenize
    cursor = index.cursor()
    for token_id in tokenize(b'{"k":1'):
        cursor.advance(token_id)
    fork = cursor.fork()
    again = tokenize(b',"q":2}')
    for token_id in again:
        cursor.advance(token_id)
    cursor.rollback(len(again))
    for each in (cursor, fork):
        for token_id in again:
            each.advance(token_id)
        assert each.may_end


def test_random_walks_never_repeat_a_key(index: Index) -> None:
    chooser = random.Random(7)
    words, ended = index.vocabulary.words, 0
    row = np.zeros(words, dtype=np.int32)
    for _ in range(60):
        cursor, text = index.cursor(), b""
        for _ in range(120):
            cursor.fill_mask(row)
            allowed = np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little"))
            token_id = int(chooser.choice(list(allowed)))
            cursor.advance(token_id)
            text += index.vocabulary.token_bytes(token_id)
            if cursor.is_finished:
                json.loads(text, object_pairs_hook=refuse_repetition)
                ended += 1
                break
    assert ended


def refuse_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    assert len(set(keys)) == len(keys)
    return dict(pairs)
