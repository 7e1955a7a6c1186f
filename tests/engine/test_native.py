"""The native engine over its C ABI."""

import sys
import threading
from typing import Any

import numpy as np
import pytest
from formwork_engine import (
    AnyJson,
    CursorError,
    IndexFormatError,
    JsonSchema,
    MalformedError,
    Regex,
    TooLargeError,
    Vocabulary,
    VocabularyError,
)
from formwork_engine.native import (
    NativeCursor,
    NativeIndex,
    NativeOptions,
    NativeVocabulary,
    fill_masks,
)

TOKENS = [*(bytes([byte]) for byte in range(256)), b"", b"ab"]
END, WORDS = 256, 9


@pytest.fixture(name="vocabulary")
def _vocabulary() -> NativeVocabulary:
    return NativeVocabulary(TOKENS, special_ids=[], end_ids=[END])


@pytest.fixture(name="index")
def _index(vocabulary: NativeVocabulary) -> NativeIndex:
    return NativeIndex.compile(AnyJson(object_only=True), vocabulary)


def allowed(cursor: NativeCursor) -> set[int]:
    mask = np.full(WORDS, -1, dtype=np.int32)
    cursor.fill_mask(mask)
    bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
    return set(np.flatnonzero(bits).tolist())


def test_a_vocabulary_has_one_fingerprint_in_both_engines(vocabulary: NativeVocabulary) -> None:
    same = Vocabulary(TOKENS, special_ids=[], end_ids=[END])
    assert vocabulary.fingerprint == same.fingerprint
    assert (vocabulary.size, vocabulary.words) == (258, WORDS)


def test_a_vocabulary_without_an_end_is_refused() -> None:
    with pytest.raises(VocabularyError, match="no end id"):
        NativeVocabulary(TOKENS, special_ids=[], end_ids=[])


def test_a_cursor_walks_through_an_answer(index: NativeIndex) -> None:
    cursor = index.cursor()
    assert allowed(cursor) == {ord("{")}
    for byte in b"{}":
        assert not cursor.may_end
        cursor.advance(byte)
    assert cursor.may_end
    assert allowed(cursor) == {END}
    cursor.advance(END)
    assert cursor.is_finished


@pytest.mark.parametrize("token", [0, END, len(TOKENS), -1, 2**32, 2**70])
def test_a_token_outside_the_mask_is_refused_and_says_so(index: NativeIndex, token: int) -> None:
    cursor = index.cursor()
    with pytest.raises(CursorError, match="not allowed"):
        cursor.advance(token)
    assert cursor.failure is not None


def test_tokens_are_taken_back_and_a_fork_goes_its_own_way(index: NativeIndex) -> None:
    cursor = index.cursor()
    cursor.advance(ord("{"))
    fork = cursor.fork()
    cursor.rollback(1)
    assert allowed(cursor) == {ord("{")}
    assert ord("}") in allowed(fork)
    with pytest.raises(CursorError):
        cursor.rollback(1)


def test_words_beyond_the_vocabulary_become_zero(index: NativeIndex) -> None:
    mask = np.full(WORDS + 3, 7, dtype=np.int32)
    index.cursor().fill_mask(mask)
    assert not mask[WORDS:].any()


def test_a_buffer_that_is_no_mask_is_refused(index: NativeIndex) -> None:
    read_only = np.zeros(WORDS, dtype=np.int32)
    read_only.flags.writeable = False
    wrong: list[Any] = [
        np.zeros(WORDS - 1, dtype=np.int32),
        np.zeros(WORDS, dtype=np.int64),
        np.zeros((1, WORDS), dtype=np.int32),
        np.zeros(2 * WORDS, dtype=np.int32)[::2],
        read_only,
    ]
    for buffer in wrong:
        with pytest.raises((ValueError, BufferError)):
            index.cursor().fill_mask(buffer)


def test_a_draft_gets_its_masks_and_leaves_the_cursor_where_it_is(index: NativeIndex) -> None:
    cursor = index.cursor()
    masks = np.full((4, WORDS), 7, dtype=np.int32)
    assert cursor.masks([ord("{"), ord("}"), 0], masks) == 2
    assert not masks[3].any()
    assert allowed(cursor) == {ord("{")}


def test_a_batch_gives_each_cursor_its_row(index: NativeIndex) -> None:
    cursors = [index.cursor() for _ in range(30)]
    cursors[7].advance(ord("{"))
    for threads in (1, 3):
        masks = np.full((31, WORDS), 7, dtype=np.int32)
        fill_masks(cursors, range(30, 0, -1), masks, threads)
        for cursor, row in zip(cursors, range(30, 0, -1), strict=True):
            expected = np.zeros(WORDS, dtype=np.int32)
            cursor.fill_mask(expected)
            assert (masks[row] == expected).all()
        assert (masks[0] == 7).all()
    with pytest.raises(ValueError, match="row of its own"):
        fill_masks(cursors[:2], [1, 1], masks)


def test_an_index_is_loaded_from_its_bytes_and_from_no_others(
    index: NativeIndex, vocabulary: NativeVocabulary
) -> None:
    data = index.dump()
    assert allowed(NativeIndex.load(data, vocabulary).cursor()) == {ord("{")}
    for length in range(0, len(data), 7):
        with pytest.raises(IndexFormatError):
            NativeIndex.load(data[:length], vocabulary)
    other = NativeVocabulary(TOKENS, special_ids=[1], end_ids=[END])
    with pytest.raises(IndexFormatError, match="vocabulary"):
        NativeIndex.load(data, other)


def test_a_refusal_is_typed_and_has_its_fields(vocabulary: NativeVocabulary) -> None:
    with pytest.raises(MalformedError):
        NativeIndex.compile(JsonSchema("{"), vocabulary)
    with pytest.raises(MalformedError):
        NativeIndex.compile(Regex("\ud800"), vocabulary)
    schema, options = JsonSchema('{"type": "object"}'), NativeOptions(max_bytes=4)
    with pytest.raises(TooLargeError) as refusal:
        NativeIndex.compile(schema, vocabulary, options)
    assert (refusal.value.limit, refusal.value.maximum) == ("max_bytes", 4)


def test_separators_have_the_spaces_that_were_asked_for(vocabulary: NativeVocabulary) -> None:
    options = NativeOptions(item_spaces=1, key_spaces=2)
    index = NativeIndex.compile(AnyJson(), vocabulary, options)
    cursor = NativeIndex.load(index.dump(), vocabulary).cursor()
    for byte in b'{"a":  1, "b":  [2':
        cursor.advance(byte)
    cursor.advance(ord(","))
    assert allowed(cursor) == {ord(" ")}


def test_two_threads_at_one_cursor_do_no_harm(index: NativeIndex) -> None:
    cursor, reasons = index.cursor(), set[str]()

    def use() -> None:
        mask = np.zeros(WORDS, dtype=np.int32)
        for _ in range(2000):
            try:
                cursor.fill_mask(mask)
            except CursorError as error:
                reasons.add(str(error))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    assert reasons <= {"another thread uses the cursor"}
    assert allowed(cursor) == {ord("{")}
