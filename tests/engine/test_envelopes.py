"""Envelopes around indexes: chat formats and tool sets, linked without compiling."""

import json
import random
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import numpy as np
import pytest
from formwork_engine import (
    CursorError,
    IndexFormatError,
    JsonSchema,
    MalformedError,
    TooLargeError,
    VocabularyError,
)
from formwork_engine.cursor import Cursor
from formwork_engine.envelope import (
    Choice,
    Envelope,
    EnvelopeWriter,
    FreeText,
    Part,
    Repeat,
    Sequence,
    SpecialToken,
    Text,
    content_id,
    dump_links,
    link_index,
    load_linked,
    load_parts,
    parts_of,
)
from formwork_engine.index import Index, compile_index
from formwork_engine.vocabulary import Vocabulary

CALL, ARGUMENTS, THINK, ANSWER, END_OF_MESSAGE, END = range(256, 262)
BORDERS = ['"}}', "}\n", "}</tool", "}\n</tool_call>", "<tool", "_call>", '{"name', '}, {"', "é<"]
TOKENS = [
    *(bytes([byte]) for byte in range(256)),
    *(b"" for _ in range(CALL, END + 1)),
    *(text.encode() for text in BORDERS),
]
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
    "additionalProperties": False,
}
CLOCK = {
    "type": "object",
    "properties": {"zone": {"enum": ["UTC", "local"]}},
    "required": ["zone"],
    "additionalProperties": False,
}
Tools = dict[str, Index]


@pytest.fixture(name="vocabulary", scope="module")
def _vocabulary() -> Vocabulary:
    special = range(CALL, END_OF_MESSAGE)
    return Vocabulary(TOKENS, special_ids=special, end_ids=[END_OF_MESSAGE, END])


@pytest.fixture(name="tools", scope="module")
def _tools(vocabulary: Vocabulary) -> Tools:
    return {name: compiled(schema, vocabulary) for name, schema in PARAMETERS.items()}


PARAMETERS: dict[str, Any] = {"weather": WEATHER, "clock": CLOCK, "clocks": {"type": "integer"}}


def compiled(schema: Any, vocabulary: Vocabulary) -> Index:  # noqa: ANN401 - any JSON
    return compile_index(JsonSchema(json.dumps(schema)), vocabulary)


def ours(tools: Tools) -> Envelope:
    calls = tuple(
        Sequence(
            (
                SpecialToken(CALL),
                Text(name),
                SpecialToken(ARGUMENTS),
                Part(index),
            )
        )
        for name, index in tools.items()
    )
    return Repeat(Choice(calls), 1, 4)


def json_call(tools: Tools, colon: str = ": ", comma: str = ", ") -> Envelope:
    each = tuple(
        Sequence(
            (
                Text(f'{json.dumps(name)}{comma}"arguments"{colon}'),
                Part(index),
            )
        )
        for name, index in tools.items()
    )
    return Sequence(
        (
            Text(f'{{"name"{colon}'),
            Choice(each),
            Text("}"),
        )
    )


def hermes(tools: Tools) -> Envelope:
    call = Sequence(
        (
            FreeText(until=("<tool_call>",)),
            Text("\n"),
            json_call(tools),
            Text("\n</tool_call>"),
        )
    )
    return Sequence(
        (
            Repeat(call),
            FreeText(without=("<tool_call>",)),
        )
    )


def llama(tools: Tools) -> Envelope:
    return Sequence(
        (
            SpecialToken(CALL),
            json_call(tools, ":", ","),
            SpecialToken(END_OF_MESSAGE),
        )
    )


def mistral(tools: Tools) -> Envelope:
    call = json_call(tools)
    more = Repeat(
        Sequence(
            (
                Text(", "),
                call,
            )
        )
    )
    return Sequence(
        (
            SpecialToken(CALL),
            Text("["),
            call,
            more,
            Text("]"),
        )
    )


def reasoning(tools: Tools) -> Envelope:
    thought = Sequence(
        (
            SpecialToken(THINK),
            FreeText(),
            SpecialToken(ANSWER),
        )
    )
    return Sequence(
        (
            Repeat(thought, 0, 1),
            Part(tools["weather"]),
        )
    )


FAMILIES = [ours, hermes, llama, mistral, reasoning]


def allowed(cursor: Cursor) -> set[int]:
    mask = np.full(cursor.vocabulary.words, -1, dtype=np.int32)
    cursor.fill_mask(mask)
    bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
    return set(np.flatnonzero(bits).tolist())


def advanced(index: Index, text: Iterable[str | int]) -> Cursor:
    """Return a cursor behind texts, byte by byte, and special tokens."""
    cursor = index.cursor()
    for piece in text:
        for token in [piece] if isinstance(piece, int) else piece.encode():
            cursor.advance(token)
    return cursor


WRITTEN: dict[Any, list[list[str | int]]] = {
    ours: [
        [CALL, "clock", ARGUMENTS, '{"zone":"UTC"}'],
        [CALL, "clocks", ARGUMENTS, "3", CALL, "weather", ARGUMENTS, '{"city":"Bonn"}'],
    ],
    hermes: [
        ["Nothing < to call é."],
        ['<tool_call>\n{"name": "clocks", "arguments": 12}\n</tool_call> done'],
        ['So: <tool_call>\n{"name": "clock", "arguments": {"zone":"local"}}\n</tool_call>'] * 2,
    ],
    llama: [[CALL, '{"name":"weather","arguments":{"city":"}","days":2}}', END_OF_MESSAGE]],
    mistral: [
        [CALL, '[{"name": "clocks", "arguments": 1}, {"name": "clocks", "arguments": 2}]'],
    ],
    reasoning: [
        ['{"city":"Bonn"}'],
        [THINK, 'It asks for {"city": 7}.', ANSWER, '{"city":"Bonn","days":1}'],
    ],
}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_family_writes_is_accepted(
    family: Any,  # noqa: ANN401 - a function
    tools: Tools,
    vocabulary: Vocabulary,
) -> None:
    index = link_index(family(tools), vocabulary)
    for text in WRITTEN[family]:
        cursor = advanced(index, text)
        assert cursor.may_end or cursor.is_finished


WRONG: dict[Any, list[list[str | int]]] = {
    ours: [
        ["clock"],
        [CALL, "clocked"],
        [CALL, ARGUMENTS],
        [CALL, "clock", ARGUMENTS, '{"zone":1'],
    ],
    hermes: [
        ['<tool_call>{"name"'],
        ['<tool_call>\n{"name": "cl0'],
        ["a", CALL],
        ["\u20ac", THINK],
    ],
    llama: [['{"name"'], [CALL, CALL], [CALL, '{"name":"clocks","arguments":1}', END]],
    mistral: [[CALL, "[]"], [CALL, '[{"name": "clocks", "arguments": 1}, ]']],
    reasoning: [[THINK, "so", THINK], [THINK, "so", ANSWER, "so"], [ANSWER], ["so"]],
}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_breaks_the_envelope_is_refused(
    family: Any,  # noqa: ANN401 - a function
    tools: Tools,
    vocabulary: Vocabulary,
) -> None:
    index = link_index(family(tools), vocabulary)
    for text in WRONG[family]:
        with pytest.raises(CursorError, match="not allowed"):
            advanced(index, text)


@pytest.mark.parametrize("family", FAMILIES)
def test_random_walks_never_get_stuck_and_masks_are_what_is_accepted(
    family: Any,  # noqa: ANN401 - a function
    tools: Tools,
    vocabulary: Vocabulary,
) -> None:
    index, dice = link_index(family(tools), vocabulary), random.Random(7)
    for _ in range(4):
        cursor = index.cursor()
        for _ in range(60):
            tokens = allowed(cursor)
            assert tokens
            for token in dice.sample(range(len(TOKENS)), 40):
                assert can_take(cursor.fork(), token) == (token in tokens)
            cursor.advance(dice.choice(sorted(tokens)))
            if cursor.is_finished:
                break


def can_take(cursor: Cursor, token: int) -> bool:
    try:
        cursor.advance(token)
    except CursorError:
        return False
    return True


def test_a_linked_tool_set_has_the_masks_of_the_union_compiled_whole(
    tools: Tools, vocabulary: Vocabulary
) -> None:
    linked = link_index(json_call(tools, ":", ","), vocabulary)
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": name}, "arguments": schema},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for name, schema in PARAMETERS.items()
    ]
    whole, dice = compiled({"anyOf": calls}, vocabulary), random.Random(3)
    for _ in range(20):
        one, other = linked.cursor(), whole.cursor()
        while not one.is_finished:
            tokens = allowed(one)
            assert tokens == allowed(other)
            quick = sorted(tokens & {ord('"'), ord("}"), END}) or sorted(tokens)
            token = dice.choice(quick if dice.random() < 0.5 else sorted(tokens))
            one.advance(token)
            other.advance(token)


def test_an_envelope_that_is_written_piece_by_piece_is_the_same(
    tools: Tools, vocabulary: Vocabulary
) -> None:
    def call(writer: EnvelopeWriter, name: str) -> int:
        pieces = [writer.special(CALL), writer.text(name), writer.special(ARGUMENTS)]
        return writer.sequence([*pieces, writer.part(tools[name])])

    writer = EnvelopeWriter()
    calls = writer.choice([call(writer, name) for name in tools])
    again = writer.repeat(calls, 0, 3)  # the same calls, written once
    writer.sequence([writer.free(until=["!"]), calls, again])
    pieces = [
        Sequence((SpecialToken(CALL), Text(name), SpecialToken(ARGUMENTS), Part(index)))
        for name, index in tools.items()
    ]
    one = Choice(tuple(pieces))
    whole = Sequence((FreeText(until=("!",)), one, Repeat(one, 0, 3)))
    written, built = writer.link(vocabulary), link_index(whole, vocabulary)
    text: list[str | int] = ["Hm!", CALL, "clock", ARGUMENTS, '{"zone":"UTC"}', CALL, "cl"]
    for length in range(len(text) + 1):
        cursors = [advanced(index, text[:length]) for index in (written, built)]
        assert allowed(cursors[0]) == allowed(cursors[1])
        assert cursors[0].may_end == cursors[1].may_end


def test_branches_are_written_as_the_choice_of_sequences_that_they_are(
    tools: Tools, vocabulary: Vocabulary
) -> None:
    def begun() -> tuple[EnvelopeWriter, int, int]:
        writer = EnvelopeWriter()
        return writer, writer.special(ARGUMENTS), writer.text("!")

    one, between, after = begun()
    one.branches(list(tools), [between], list(tools.values()), [after])
    other, between, after = begun()
    other.choice(
        [
            other.sequence([other.text(name), between, other.part(index), after])
            for name, index in tools.items()
        ]
    )
    assert dump_links(one.link(vocabulary)) == dump_links(other.link(vocabulary))
    with pytest.raises(ValueError, match="shorter"):
        one.branches(["a", "b"], [], list(tools.values())[:1], [])


def test_pieces_refer_to_those_before_them() -> None:
    writer = EnvelopeWriter()
    with pytest.raises(ValueError, match="no piece"):
        writer.branches([], [0], [], [])
    first = writer.text("a")
    for number in (first + 1, -1):
        with pytest.raises(ValueError, match="no piece"):
            writer.sequence([first, number])
        with pytest.raises(ValueError, match="no piece"):
            writer.repeat(number)


def test_changing_removing_and_reordering_tools_compiles_only_what_is_new(
    tools: Tools, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    link_index(ours(tools), vocabulary)
    new = compiled({"type": "boolean"}, vocabulary)

    def compile_nothing(*_arguments: object) -> NoReturn:
        raise AssertionError("nothing is to be compiled")

    monkeypatch.setattr("formwork_engine.index.compile_index", compile_nothing)
    changed = link_index(ours({**tools, "clock": new}), vocabulary)
    assert advanced(changed, [CALL, "clock", ARGUMENTS, "true"]).may_end
    removed = link_index(ours({"clock": tools["clock"]}), vocabulary)
    assert allowed(advanced(removed, [CALL])) == {ord("c")}
    order = dict(reversed(tools.items()))
    cursors = [link_index(ours(some), vocabulary).cursor() for some in (tools, order)]
    assert allowed(cursors[0]) == allowed(cursors[1])


def test_a_trigger_is_found_however_tokens_split_it(tools: Tools, vocabulary: Vocabulary) -> None:
    index, first_border = link_index(hermes(tools), vocabulary), END + 1
    cursor = advanced(index, ["é<"])
    split = [
        ord("<"),
        first_border + BORDERS.index("<tool"),
        first_border + BORDERS.index("_call>"),
    ]
    for token in split:
        assert cursor.may_end
        cursor.advance(token)
    assert not cursor.may_end
    assert allowed(cursor) == {ord("\n")}
    cursor.rollback(1)
    assert cursor.may_end
    assert ord("x") in allowed(cursor)


def test_a_linked_index_is_sent_without_the_parts_that_the_receiver_holds(
    tools: Tools, vocabulary: Vocabulary
) -> None:
    index = link_index(hermes(tools), vocabulary)
    data = dump_links(index)
    assert set(parts_of(data, vocabulary)) == {content_id(part) for part in tools.values()}
    held = [Index.load(part.dump(), vocabulary) for part in tools.values()]
    copies = [load_linked(data, vocabulary, held), Index.load(index.dump(), vocabulary)]
    for copy in copies:
        assert advanced(copy, WRITTEN[hermes][2]).may_end
        assert content_id(copy) == content_id(index)
    with pytest.raises(IndexFormatError, match="not at hand"):
        load_linked(data, vocabulary, held[1:])
    with pytest.raises(IndexFormatError):
        load_linked(data[:-1], vocabulary, held)


def test_an_envelope_that_makes_no_sense_is_refused(tools: Tools, vocabulary: Vocabulary) -> None:
    for envelope, reason in [
        (SpecialToken(ord("a")), "no special token"),
        (Choice(()), "choice of nothing"),
        (Repeat(Text("")), "may be empty"),
        (Repeat(Text("a"), 2, 1), "at least more than at most"),
        (FreeText(until=("",)), "empty trigger"),
        (
            Sequence(
                (
                    SpecialToken(END),
                    Text("a"),
                )
            ),
            "goes on after",
        ),
    ]:
        with pytest.raises(MalformedError, match=reason) as refusal:
            link_index(envelope, vocabulary)
        assert refusal.value.pointer.startswith("/pieces/")
    with pytest.raises(ValueError, match="free text"):
        FreeText(until=("a",), without=("b",))
    other = Vocabulary([*TOKENS, b"x"], special_ids=[], end_ids=[END])
    with pytest.raises(VocabularyError, match="another vocabulary"):
        link_index(Part(tools["clock"]), other)


def test_what_is_too_large_names_its_limit(vocabulary: Vocabulary) -> None:
    texts = tuple(Text(f"{number:04}") for number in range(5000))
    for envelope, limit in [
        (Choice(texts), "max_threads"),
        (Text("x" * (1 << 21)), "max_text_bytes"),
        (FreeText(until=("x" * 5000,)), "max_trigger_bytes"),
    ]:
        with pytest.raises(TooLargeError) as refusal:
            link_index(envelope, vocabulary)
        assert refusal.value.limit == limit
    with pytest.raises(TooLargeError, match="max_piece_depth"):
        nested(Text("a"), lambda piece: Sequence((piece,)))
    with pytest.raises(TooLargeError, match="max_envelope_bytes"):
        nested(Text("a"), lambda piece: Sequence((piece, piece)))


def nested(piece: Envelope, around: Callable[[Envelope], Envelope]) -> None:
    for _ in range(100):
        piece = around(piece)


def test_parts_that_are_loaded_together_are_those_that_were_written(
    vocabulary: Vocabulary, tools: Tools
) -> None:
    loaded = load_parts([tool.dump() for tool in tools.values()], vocabulary)
    assert load_parts([], vocabulary) == []
    for part, tool in zip(loaded, tools.values(), strict=True):
        assert part.dump() == tool.dump()
        mine, its = Sequence((Text("x"), Part(part))), Sequence((Text("x"), Part(tool)))
        copied, linked = (link_index(one, vocabulary).cursor() for one in (mine, its))
        for token in b"x1":
            masks = np.zeros((2, vocabulary.words), np.int32)
            copied.fill_mask(masks[0])
            linked.fill_mask(masks[1])
            assert np.array_equal(masks[0], masks[1])
            if not masks[0][token // 32] >> token % 32 & 1:
                break
            copied.advance(token)
            linked.advance(token)


def test_of_parts_that_are_loaded_together_none_comes_where_one_is_damaged(
    vocabulary: Vocabulary, tools: Tools
) -> None:
    whole = [tool.dump() for tool in tools.values()]
    for damaged in (b"", whole[0][:-1], whole[0] + b"x", b"x" * 200):
        with pytest.raises(IndexFormatError):
            load_parts([whole[-1], damaged], vocabulary)
