"""One sequence's place: masks, advancing, going back, ending, failing."""

import json
import pickle
import random
import sys
import threading

import numpy as np
import pytest
from formwork_engine import (
    Budget,
    Cursor,
    CursorError,
    Index,
    JsonSchema,
    LimitReachedError,
    MaskStatus,
    Regex,
    Vocabulary,
    advance_all,
    compile_index,
    fill_masks,
)
from formwork_engine.testing import END_ID, SPECIAL_ID, advance_text, allowed

OBJECT = (
    '{"type":"object","properties":{"name":{"type":"string"},"n":{"type":"integer"}},'
    '"required":["name"],"additionalProperties":false}'
)

# Each `contains` may be met by an item or not, and none settles another: 8,192 ways to go on.
MANY_WAYS = {
    "properties": {
        "a": {"allOf": [{"contains": {"required": [str(number)]}} for number in range(13)]}
    }
}
# Each letter doubles what the pattern has to keep apart.
HARD_PATTERN = {"type": "string", "pattern": "^(x|y)*x(x|y){60}$"}

READ_ONLY = np.zeros(100, dtype=np.int32)
READ_ONLY.flags.writeable = False


@pytest.fixture(scope="module")
def index(vocabulary: Vocabulary) -> Index:
    return compile_index(JsonSchema(OBJECT), vocabulary)


def test_the_end_is_in_the_mask_exactly_when_the_cursor_may_end(vocabulary: Vocabulary) -> None:
    cursor = compile_index(Regex("ab?"), vocabulary).cursor()
    assert END_ID not in allowed(cursor, vocabulary)
    assert not cursor.may_end
    cursor.advance(ord("a"))
    assert set(allowed(cursor, vocabulary)) == {END_ID, ord("b")}
    assert cursor.may_end


@pytest.mark.parametrize(
    ("schema", "text", "limit", "maximum"),
    [
        (MANY_WAYS, '{"a":[', "max_branches", 4096),
        (HARD_PATTERN, '"xyyxyxxyxy', "mask_fuel", 10),
    ],
)
def test_a_cursor_that_a_limit_ends_names_it_and_what_it_allows(
    vocabulary: Vocabulary, schema: object, text: str, limit: str, maximum: int
) -> None:
    budget = Budget(mask_fuel=maximum) if limit == "mask_fuel" else Budget()
    index = compile_index(JsonSchema(json.dumps(schema)), vocabulary, budget=budget)
    cursor = index.cursor()
    with pytest.raises(LimitReachedError) as caught:
        _read_by_masks(cursor, vocabulary, text)
    for error in (caught.value, _pickled(caught.value)):
        assert (error.limit, error.maximum) == (limit, maximum)
        assert f"{limit} allows, {maximum}" in str(error)


def _read_by_masks(cursor: Cursor, vocabulary: Vocabulary, text: str) -> None:
    for byte in text.encode():
        assert byte in allowed(cursor, vocabulary)
        cursor.advance(byte)


def _pickled(error: LimitReachedError) -> LimitReachedError:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert isinstance(copy, LimitReachedError)
    return copy


def test_special_ids_are_never_allowed(index: Index, vocabulary: Vocabulary) -> None:
    cursor = index.cursor()
    assert SPECIAL_ID not in allowed(cursor, vocabulary)
    with pytest.raises(CursorError):
        cursor.advance(SPECIAL_ID)


def test_bits_beyond_the_vocabulary_are_cleared(index: Index, vocabulary: Vocabulary) -> None:
    mask = np.full(vocabulary.words + 3, -1, dtype=np.int32)
    index.cursor().fill_mask(mask)
    assert not mask[vocabulary.words :].any()
    bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
    assert not bits[vocabulary.size :].any()


@pytest.mark.parametrize(
    "out",
    [
        np.zeros(100, dtype=np.int64),
        np.zeros((1, 100), dtype=np.int32),
        np.zeros(200, dtype=np.int32)[::2],
        np.zeros(1, dtype=np.int32),
        READ_ONLY,
    ],
)
def test_a_buffer_of_the_wrong_kind_is_refused(index: Index, out: np.ndarray) -> None:
    with pytest.raises((ValueError, BufferError)):
        index.cursor().fill_mask(out)


def test_an_ended_cursor_allows_nothing(vocabulary: Vocabulary) -> None:
    cursor = compile_index(Regex("a"), vocabulary).cursor()
    cursor.advance(ord("a"))
    cursor.advance(END_ID)
    assert cursor.is_finished
    assert not cursor.may_end
    assert cursor.forced() == ()
    assert allowed(cursor, vocabulary) == []
    with pytest.raises(CursorError, match="not allowed here"):
        cursor.advance(ord("a"))


def test_a_failed_cursor_stays_failed_and_says_why(index: Index, vocabulary: Vocabulary) -> None:
    cursor = index.cursor()
    with pytest.raises(CursorError, match="not allowed here"):
        cursor.advance(ord("x"))
    assert cursor.failure is not None
    for use in (lambda: cursor.advance(ord("{")), lambda: cursor.rollback(0)):
        with pytest.raises(CursorError, match="not allowed here"):
            use()
    with pytest.raises(CursorError, match="not allowed here"):
        allowed(cursor, vocabulary)


@pytest.mark.parametrize("token_id", [-1, 10**9, 2**32, 2**70, END_ID])
def test_ids_that_cannot_come_are_refused(index: Index, token_id: int) -> None:
    with pytest.raises(CursorError):
        index.cursor().advance(token_id)


def test_forced_tokens_can_be_advanced_one_by_one(model_vocabulary: Vocabulary) -> None:
    schema = JsonSchema('{"const":{"answer":"a long constant"}}')
    cursor = compile_index(schema, model_vocabulary).cursor()
    written: list[int] = []
    while not cursor.may_end:
        forced = cursor.forced()
        step = forced or tuple(allowed(cursor, model_vocabulary)[:1])
        for place, token_id in enumerate(step):
            assert cursor.forced()[:1] in ((token_id,), ())
            assert allowed(cursor, model_vocabulary) == [token_id] or not forced, place
            cursor.advance(token_id)
            written.append(token_id)
    assert model_vocabulary.decode(written) == b'{"answer":"a long constant"}'


def test_rollback_returns_to_an_earlier_mask(index: Index, vocabulary: Vocabulary) -> None:
    rng, cursor = random.Random(4), index.cursor()
    masks, steps = [allowed(cursor, vocabulary)], 0
    while not cursor.is_finished and steps < 60:
        cursor.advance(rng.choice(masks[-1]))
        masks.append(allowed(cursor, vocabulary))
        steps += 1
    for back in (1, 3, 0, 7):
        count = min(back, len(masks) - 1)
        cursor.rollback(count)
        del masks[len(masks) - count :]
        assert allowed(cursor, vocabulary) == masks[-1]
    with pytest.raises(CursorError, match="cannot take back"):
        cursor.rollback(-1)
    with pytest.raises(CursorError, match="tokens back of"):
        cursor.rollback(len(masks) + 1)


def test_rollback_takes_back_an_end(vocabulary: Vocabulary) -> None:
    cursor = compile_index(Regex("ab?"), vocabulary).cursor()
    cursor.advance(ord("a"))
    cursor.advance(END_ID)
    cursor.rollback(1)
    assert not cursor.is_finished
    cursor.advance(ord("b"))
    assert cursor.may_end


def test_a_fork_goes_its_own_way(index: Index, vocabulary: Vocabulary) -> None:
    cursor = index.cursor()
    assert advance_text(cursor, b'{"name":"', vocabulary)
    fork = cursor.fork()
    before = allowed(cursor, vocabulary)
    assert advance_text(fork, b'x"', vocabulary)
    assert allowed(cursor, vocabulary) == before
    with pytest.raises(CursorError):
        fork.advance(ord('"'))
    assert cursor.failure is None


def test_cursors_of_one_index_are_independent(index: Index, vocabulary: Vocabulary) -> None:
    one, other = index.cursor(), index.cursor()
    assert advance_text(one, b'{"name"', vocabulary)
    assert allowed(other, vocabulary) == allowed(index.cursor(), vocabulary)


@pytest.mark.parametrize("threads", [1, 2])
def test_cursors_that_move_together_go_where_each_would_alone(
    model_vocabulary: Vocabulary, threads: int
) -> None:
    schema = JsonSchema('{"enum":[{"answer":"a long constant"},[1,2],"text"]}')
    index = compile_index(schema, model_vocabulary)
    texts = [b'{"', b"[", b'"', b"["] * 5
    tokens = [model_vocabulary.tokenize(text)[0] for text in texts]
    together, alone = ([index.cursor() for _ in texts] for _ in range(2))
    moved = advance_all(together, tokens, threads)
    for cursor, token_id in zip(alone, tokens, strict=True):
        cursor.advance(token_id)
    assert moved == [len(cursor.forced()) for cursor in alone]
    assert max(n for n in moved if isinstance(n, int)) > 0
    assert [c.forced() for c in together] == [c.forced() for c in alone]
    masks = [[allowed(c, model_vocabulary) for c in many] for many in (together, alone)]
    assert masks[0] == masks[1]


def test_a_cursor_that_fails_among_others_fails_alone(index: Index, vocabulary: Vocabulary) -> None:
    cursors = [index.cursor() for _ in range(3)]
    moved = advance_all(cursors, [ord("{"), ord("x"), ord("{")])
    assert [type(one) for one in moved] == [int, CursorError, int]
    assert str(moved[1]) == cursors[1].failure
    ahead = index.cursor()
    ahead.advance(ord("{"))
    expected = allowed(ahead, vocabulary)
    assert [allowed(cursors[place], vocabulary) for place in (0, 2)] == [expected, expected]


def test_each_cursor_of_many_has_a_token(index: Index) -> None:
    with pytest.raises(ValueError, match="1 cursors, 2 tokens"):
        advance_all([index.cursor()], [1, 2])


@pytest.mark.parametrize("threads", [1, 2])
def test_many_masks_equal_single_ones(index: Index, vocabulary: Vocabulary, threads: int) -> None:
    cursors = [index.cursor() for _ in range(5)]
    assert advance_text(cursors[1], b'{"name":"x', vocabulary)
    assert advance_text(cursors[2], b'{"name":"x"}', vocabulary)
    cursors[2].advance(END_ID)
    with pytest.raises(CursorError):
        cursors[3].advance(ord("x"))
    out = np.full((7, vocabulary.words + 1), -1, dtype=np.int32)
    fill_masks(cursors, [6, 5, 4, 3, 2], out, threads=threads)
    for cursor, row in zip(cursors, out[6:1:-1], strict=True):
        alone = np.zeros(vocabulary.words + 1, dtype=np.int32)
        if cursor.failure is None:
            cursor.fill_mask(alone)
        assert (row == alone).all()
    assert (out[:2] == -1).all()


def test_a_mask_that_takes_long_comes_later(vocabulary: Vocabulary) -> None:
    pattern = '{"type":"string","pattern":"^(a|b)*a(a|b){9}$"}'
    cursor = compile_index(JsonSchema(pattern), vocabulary).cursor()
    assert advance_text(cursor, b'"', vocabulary)
    out = np.full((1, vocabulary.words), 7, dtype=np.int32)
    assert fill_masks([cursor], [0], out, step_fuel=0) == [MaskStatus.LATER]
    assert not out.any()
    while fill_masks([cursor], [0], out, step_fuel=0) == [MaskStatus.LATER]:
        pass
    same = compile_index(JsonSchema(pattern), vocabulary).cursor()
    assert advance_text(same, b'"', vocabulary)
    alone = np.zeros(vocabulary.words, dtype=np.int32)
    same.fill_mask(alone)
    assert (out[0] == alone).all()
    cursor.advance(ord("a"))


def test_closing_in_time_ends_within_the_budget(vocabulary: Vocabulary) -> None:
    schema = '{"type":"array","items":{"type":"string","minLength":5},"minItems":2}'
    index, dice = compile_index(JsonSchema(schema), vocabulary), random.Random(1)
    shortest = index.shortest_answer_tokens
    assert shortest is not None
    for budget in range(shortest + 1, shortest + 9):
        cursor, taken = index.cursor(), list[int]()
        assert not cursor.close_within(shortest)
        assert cursor.close_within(budget)
        while not cursor.is_finished:
            token = dice.choice(sorted(allowed(cursor, vocabulary)))
            if not cursor.leaves_room(token):
                mask = np.zeros(vocabulary.words, dtype=np.int32)
                cursor.fill_closing_mask(mask)
                bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
                token = int(dice.choice(np.flatnonzero(bits)))
                assert cursor.leaves_room(token)
            taken.append(token)
            cursor.advance(token)
        assert len(taken) <= budget


def test_rows_that_clash_are_refused(index: Index, vocabulary: Vocabulary) -> None:
    out = np.zeros((2, vocabulary.words), dtype=np.int32)
    with pytest.raises(ValueError, match="row"):
        fill_masks([index.cursor(), index.cursor()], [1, 1], out, threads=2)


def test_a_draft_gets_its_masks_and_leaves_the_cursor_where_it_is(
    index: Index, vocabulary: Vocabulary
) -> None:
    cursor = index.cursor()
    before = allowed(cursor, vocabulary)
    masks = np.full((4, vocabulary.words), 7, dtype=np.int32)
    assert cursor.masks([ord("{"), ord('"'), 0], masks) == 2
    assert masks[2].any()
    assert not masks[3].any()
    assert allowed(cursor, vocabulary) == before
    with pytest.raises(ValueError, match="rows"):
        cursor.masks([ord("{")], masks)


def test_two_threads_at_one_cursor_do_no_harm(index: Index, vocabulary: Vocabulary) -> None:
    cursor, reasons = index.cursor(), set[str]()
    before = allowed(cursor, vocabulary)

    def use() -> None:
        mask = np.zeros(vocabulary.words, dtype=np.int32)
        for _ in range(1000):
            try:
                cursor.fill_mask(mask)
            except CursorError as error:
                reasons.add(str(error))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    assert reasons <= {"another thread uses the cursor"}
    assert allowed(cursor, vocabulary) == before
