"""What a model may write around content and calls, and how it is read: both from one row of data.

Answers are random walks through the masks of the very envelope that a worker would link; they are
handed to the reader in pieces, as frames would bring them.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from formwork.sampler.v1.sampler_pb2 import Frame, Mark, Piece
from formwork_engine.cursor import Cursor
from formwork_engine.index import Index, compile_index
from formwork_engine.inputs import IndexOptions, JsonSchema, Lark, Regex
from formwork_engine.vocabulary import Vocabulary

from gateway.answer_events import CallBegun, CallInput, Channel, Said
from gateway.answer_shape import AnswerShape, Part
from gateway.chat_formats import FORMATS, HERMES, THINKING, ChatFormat, recognise_format
from gateway.chat_model import ChatModel
from gateway.control_tokens import ControlTokens
from gateway.grammars import Grammar, Subject, Syntax
from gateway.stops import StopReader
from gateway.tools import Tool, ToolKind, ToolMode, ToolUse
from mesh.errors import InternalError
from sampler_service.envelopes import link_shape

SUBJECT = Subject("x", "x", "GRAMMAR_INVALID")
SCHEMA = (
    '{"type":"object","properties":{"a":{"enum":["}","<",1]}},"required":["a"],'
    '"additionalProperties":false}'
)
CONTENT = Part(
    Grammar(Syntax.JSON_SCHEMA, '{"type":"array","items":{"const":"<tool_call>"},"maxItems":2}')
)
END = 256
_CONTROL = re.compile(r"<\|\w+\|>|\[/?[A-Z_]+\]")
_ROWS = {
    **FORMATS,
    "thinking": recognise_format("<think><tool_call></tool_call>"),
    "bracketed": recognise_format("[THINK][TOOL_CALLS][ARGS]"),
}


def function(name: str) -> Tool:
    return Tool(ToolKind.FUNCTION, name, "", Grammar(Syntax.JSON_SCHEMA, SCHEMA), SUBJECT)


FUNCTIONS = (function("get"), function("get_all"))
CUSTOM = (
    Tool(ToolKind.CUSTOM, "note", "", None, SUBJECT),
    Tool(ToolKind.CUSTOM, "date", "", Grammar(Syntax.REGEX, "[0-9]{4}-[0-9]{2}"), SUBJECT),
    Tool(ToolKind.CUSTOM, "sum", "", Grammar(Syntax.LARK, 'start: "1" ("+" "1")*'), SUBJECT),
    Tool(ToolKind.CUSTOM, "odd", "", Grammar(Syntax.REGEX, r'(?s)["\\}\n].'), SUBJECT),
)


def control_spellings(form: ChatFormat) -> list[str]:
    texts = [form.calls_opening, form.calls_closing, form.content_opening]
    if form.call:
        texts += [form.call.opening, form.call.after_name, form.call.closing]
    if form.reasoning:
        texts += [form.reasoning.opening, form.reasoning.until, form.reasoning.after]
    return list(dict.fromkeys(spelling for text in texts for spelling in _CONTROL.findall(text)))


@cache
def make(row: str, markers: str) -> tuple[ChatModel, Vocabulary]:
    """Return a format with a byte vocabulary, in which its markers are control tokens or text."""
    form = _ROWS[row]
    spellings = control_spellings(form) if markers == "control" else []
    ids = {spelling: END + 1 + n for n, spelling in enumerate(spellings)}
    tokens = [bytes([n]) for n in range(256)] + [b""] * (1 + len(ids))
    words = [b'{"', b'":', b'"}', b"<tool", b"_call>", b"get", b"\n{", b"</", b'", "']
    vocabulary = Vocabulary([*tokens, *words], special_ids=[END, *ids.values()], end_ids=[END])
    return ChatModel(form, ControlTokens(ids)), vocabulary


@cache
def compiled(grammar: Grammar, vocabulary: Vocabulary, *, is_spaced: bool = False) -> Index:
    kinds: dict[Syntax, Any] = {
        Syntax.JSON_SCHEMA: JsonSchema,
        Syntax.REGEX: Regex,
        Syntax.LARK: Lark,
    }
    separators = (", ", ": ") if is_spaced else (",", ":")
    options = IndexOptions(
        item_separator=separators[0],
        key_separator=separators[1],
        in_json_string=grammar.in_json_string,
    )
    return compile_index(kinds[grammar.syntax](grammar.text), vocabulary, options)


def link(shape: AnswerShape, vocabulary: Vocabulary, *, is_spaced: bool = False) -> Cursor:
    parts = [compiled(part.grammar, vocabulary, is_spaced=is_spaced) for part in shape.parts]
    return link_shape(shape.piece, parts, vocabulary).cursor()


def walk(cursor: Cursor, vocabulary: Vocabulary, rng: random.Random, lures: list[str]) -> list[int]:
    """Return the tokens of one answer; now and then it tries to write one of the lures."""
    mask = np.zeros(vocabulary.words, dtype=np.int32)
    tokens: list[int] = []
    wanted: list[int] = []
    while len(tokens) < 400:
        cursor.fill_mask(mask)
        allowed = np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little")).tolist()
        assert allowed, "a dead end"
        if not wanted and rng.random() < 0.2 and lures:
            wanted = list(rng.choice(lures).encode())
        token = wanted.pop(0) if wanted and wanted[0] in allowed else None
        if token is None:
            wanted = []
            token = END if END in allowed and rng.random() < 0.2 else rng.choice(allowed)
        if token == END:
            return tokens
        cursor.advance(token)
        tokens.append(token)
    return []


def frames_of(tokens: list[int], vocabulary: Vocabulary, rng: random.Random) -> Iterator[Frame]:
    """Yield the answer in frames of random lengths, whole code points each."""
    text, marks, kept = "", [], b""
    for token in tokens:
        if token in vocabulary.special_ids:
            marks.append(Mark(token_id=token, position=len(text)))
        kept += vocabulary.token_bytes(token)
        try:
            text, kept = text + kept.decode(), b""
        except UnicodeDecodeError:
            continue
        if rng.random() < 0.5:
            yield Frame(text=text, marks=marks)
            text, marks = "", []
    yield Frame(text=text, marks=marks)


def read(
    model: ChatModel, use: ToolUse, frames: Iterator[Frame], *, is_structured: bool = False
) -> tuple[dict[Channel, str], list[tuple[str, str]]]:
    reader = model.reader(use, is_structured=is_structured)
    texts = dict.fromkeys(Channel, "")
    calls: list[tuple[str, str]] = []
    events = [event for frame in frames for event in reader.feed(model.text_of(frame))]
    for event in [*events, *reader.finish()]:
        match event:
            case Said(channel, text):
                texts[channel] += text
            case CallBegun(number, name):
                assert number == len(calls)
                calls.append((name, ""))
            case CallInput(number, text):
                assert number == len(calls) - 1
                calls[number] = (calls[number][0], calls[number][1] + text)
    return texts, calls


def fits(name: str, written: str) -> bool:
    if name == "date":
        return re.fullmatch("[0-9]{4}-[0-9]{2}", written) is not None
    if name == "odd":
        return re.fullmatch(r'["\\}\n].', written, re.DOTALL) is not None
    if name == "sum":
        return re.fullmatch(r"1(\+1)*", written) is not None
    if name == "note":
        return True
    return json.loads(written) in [{"a": "}"}, {"a": "<"}, {"a": 1}]


def cases() -> Iterator[tuple[str, str, ToolMode, Part | None]]:
    """Yield formats with their markers as control tokens, and as text where they can be text."""
    for row, markers, mode, content in product(
        sorted(set(_ROWS) - {"plain"}), ("control", "text"), ToolMode, (None, CONTENT)
    ):
        # as text, nothing would end the free text of these two
        can_be_text = row not in ("formwork", "harmony")
        if markers == "control" or can_be_text:
            yield row, markers, mode, content


@pytest.mark.parametrize(("row", "markers", "mode", "content"), [*cases()])
def test_every_answer_is_content_or_valid_calls_of_known_tools(
    row: str, markers: str, mode: ToolMode, content: Part | None
) -> None:
    model, vocabulary = make(row, markers)
    tools = (*FUNCTIONS, *CUSTOM)
    use = ToolUse(tools, () if mode is ToolMode.NONE else tools, mode, 3)
    shape = model.shape(content, use)
    if shape is None:
        assert content is None
        return
    rng = random.Random(f"{row} {markers} {mode} {content}")
    call = model.form.call
    assert call is not None
    lures = [model.form.calls_opening + call.opening, "</think>", "<tool_call", "get"]
    ended = 0
    for _ in range(25):
        tokens = walk(link(shape, vocabulary), vocabulary, rng, lures)
        if not tokens:
            continue
        ended += 1
        frames = frames_of(tokens, vocabulary, rng)
        texts, calls = read(model, use, frames, is_structured=content is not None)
        assert all(fits(*one) for one in calls), calls
        assert len(calls) <= (3 if model.form.parallel else 1)
        assert calls or mode is not ToolMode.REQUIRED
        assert not calls or mode is not ToolMode.NONE
        if content is not None and not calls:
            assert json.loads(texts[Channel.CONTENT]) in [
                ["<tool_call>"] * count for count in range(3)
            ]
        if calls and (content is not None or not model.form.text_before_calls):
            assert texts[Channel.CONTENT] == ""
    assert ended >= 5


@pytest.mark.parametrize(
    ("row", "markers", "opening", "until"),
    [
        ("hermes", "text", None, None),
        ("thinking", "text", ["<think>"], ["</think>\n\n"]),
        ("bracketed", "control", ["[THINK]"], ["[/THINK]"]),
        ("harmony", "control", [], ["<|channel|>", "final", "<|message|>"]),
    ],
)
def test_a_worker_is_told_where_content_begins(
    row: str, markers: str, opening: list[str] | None, until: list[str] | None
) -> None:
    model, _ = make(row, markers)
    ids = {
        token_id: spelling
        for spelling in control_spellings(_ROWS[row])
        for token_id in model.tokens.split(model.tokens.spell(spelling))
    }

    def spelled(pieces: Iterable[Piece]) -> list[str]:
        return [piece.text or ids[piece.special_token] for piece in pieces]

    start = model.content_start
    found = (None, None) if start is None else (spelled(start.opening), spelled(start.until))
    assert found == (opening, until)


def test_json_that_begins_like_a_call_is_content_where_it_goes_on_otherwise() -> None:
    model, vocabulary = make("llama3", "text")
    schema = {
        "type": "object",
        "properties": {"name": {"enum": ["get", "get_all", "nobody"]}, "age": {"const": 7}},
        "required": ["name"],
        "additionalProperties": False,
    }
    assert model.tells_calls_from(schema)
    assert not model.tells_calls_from({**schema, "additionalProperties": True})
    content = Part(Grammar(Syntax.JSON_SCHEMA, json.dumps(schema)))
    use = ToolUse(FUNCTIONS, FUNCTIONS, ToolMode.AUTO, 1)
    shape = model.shape(content, use)
    assert shape is not None
    rng, found = random.Random(5), Counter[str]()
    lures = ['{"name": "get', '{"name": "get", "', '{"name": "get_all", "age', '", "parameters']
    for _ in range(120):
        tokens = walk(link(shape, vocabulary, is_spaced=True), vocabulary, rng, lures)
        texts, calls = read(model, use, frames_of(tokens, vocabulary, rng), is_structured=True)
        if calls:
            assert all(fits(*one) for one in calls)
            assert texts[Channel.CONTENT] == ""
        elif tokens:
            value = json.loads(texts[Channel.CONTENT])
            assert value.pop("name") in schema["properties"]["name"]["enum"]
            assert value in ({}, {"age": 7})
        found[calls[0][0] if calls else texts[Channel.CONTENT]] += 1
    assert {"get", "get_all", '{"name": "get"}', '{"name": "get_all", "age": 7}'} <= found.keys()


def test_a_cut_answer_says_what_is_certain_and_no_more() -> None:
    model, _ = make("hermes", "text")
    use = ToolUse(FUNCTIONS, FUNCTIONS, ToolMode.AUTO)
    whole = 'Let me see <tool_call>\n{"name": "get", "arguments": {"a": 1}}\n</tool_call>'
    start = whole.index('{"a"')
    for length in range(len(whole) + 1):
        texts, calls = read(model, use, iter([Frame(text=whole[:length])]))
        assert "Let me see <tool_call>"[:length].startswith(texts[Channel.CONTENT])
        assert calls == ([("get", whole[start:length][:8])] if length >= start else [])


def object_of(name: str, size: int = 0) -> Part:
    """Return content under a schema of some size."""
    text = json.dumps({"type": "object", "title": name, "description": "x" * size})
    return Part(Grammar(Syntax.JSON_SCHEMA, text))


def test_shapes_are_remembered_as_long_as_their_bytes_are_within_a_bound() -> None:
    model, (small, large) = ChatModel(_ROWS["hermes"], ControlTokens({})), (100, 2 * 1024 * 1024)
    use = ToolUse(FUNCTIONS, FUNCTIONS, ToolMode.AUTO)
    first = model.shape(object_of("first"), use)
    for number in range(200):
        model.shape(object_of(f"{number}", small), use)
    assert model.shape(object_of("first"), use) is first
    for number in range(8):
        model.shape(object_of(f"{number}", large), use)
    again = model.shape(object_of("first"), use)
    assert first is not None
    assert again is not None
    assert (again.parts, again.piece) == (first.parts, first.piece)
    assert again is not first


def test_the_order_in_which_tools_are_listed_makes_no_other_shape() -> None:
    model = ChatModel(_ROWS["hermes"], ControlTokens({}))
    moved = tuple(replace(one, subject=replace(SUBJECT, param="tools[7]")) for one in FUNCTIONS)
    use = ToolUse(FUNCTIONS, FUNCTIONS, ToolMode.AUTO)
    turned = ToolUse(moved[::-1], moved[::-1], ToolMode.AUTO)
    assert model.shape(None, turned) is model.shape(None, use)


def test_what_is_not_in_the_format_is_a_fault_of_ours() -> None:
    model, _ = make("formwork", "control")
    reader = model.reader(ToolUse(FUNCTIONS, FUNCTIONS, ToolMode.AUTO))
    opens, arguments = (model.tokens.character(END + 1 + n) for n in range(2))
    with pytest.raises(InternalError, match="unknown tool"):
        reader.feed(f"{opens}delete_all{arguments}")
    with pytest.raises(InternalError, match="control token"):
        model.reader(ToolUse()).feed(f"Hello {opens}")
    with pytest.raises(InternalError, match="unknown control token"):
        model.text_of(Frame(text="x", marks=[Mark(token_id=7, position=0)]))


def test_thoughts_that_the_prompt_has_opened_come_first() -> None:
    model = ChatModel(
        recognise_format("<think> <tool_call> </tool_call>"), ControlTokens({}), is_thinking=True
    )
    assert model.form.reasoning == THINKING["<think>"]
    use = ToolUse(FUNCTIONS, FUNCTIONS, ToolMode.AUTO)
    answer = (
        'hm </thin\n</think>\n\n<tool_call>\n{"name": "get", "arguments": {"a": 1}}\n</tool_call>'
    )
    texts, calls = read(model, use, iter(Frame(text=character) for character in answer))
    assert texts[Channel.REASONING] == "hm </thin\n"
    assert (texts[Channel.CONTENT], calls) == ("", [("get", '{"a": 1}')])


def test_thoughts_may_end_in_a_control_token() -> None:
    """Some tokenizers have one where others spell it."""
    tokens = ControlTokens({"</think>": END + 1, "<think>": END + 2})
    model = ChatModel(recognise_format("<think>"), tokens)
    shape = model.shape(None, ToolUse())
    assert shape is not None
    vocabulary = Vocabulary(
        [*(bytes([n]) for n in range(256)), b"", b"", b""],
        special_ids=[END, END + 1, END + 2],
        end_ids=[END],
    )
    cursor = link(shape, vocabulary)
    for token in [END + 2, *b"\nhm </think>", END + 1, *b"\n\nyes"]:
        cursor.advance(token)
    assert cursor.may_end
    ends, begins = (tokens.character(token) for token in (END + 1, END + 2))
    events = model.reader(ToolUse()).feed(f"{begins}\nhm{ends}\n\nyes")
    assert events == [Said(Channel.REASONING, "hm"), Said(Channel.CONTENT, "yes")]


OF_GET = '<tool_call>\n{"name": "get", "arguments": {"a":1}}\n</tool_call>'
USE = ToolUse(FUNCTIONS, FUNCTIONS, ToolMode.AUTO)


@pytest.mark.parametrize(
    ("answer", "thoughts", "content", "count"),
    [
        (f"<think>\nhm\n</think>\n\n{OF_GET}", "hm\n", "", 1),
        (f"<think>hm</think>Yes {OF_GET}", "hm", "Yes ", 1),
        ("<think>\nhm</think>\nYes", "hm", "Yes", 0),
        ("<think>hm</think>", "hm", "", 0),
        (f"<think>\nhm {OF_GET}", f"hm {OF_GET}", "", 0),
        ("</think>Yes<think>", "", "</think>Yes<think>", 0),
    ],
)
def test_thoughts_end_where_they_are_closed_whatever_follows(
    answer: str, thoughts: str, content: str, count: int
) -> None:
    """Where text may begin like thoughts, a constraint leaves open how they are closed."""
    model, vocabulary = make("thinking", "text")
    shape = model.shape(None, USE)
    assert shape is not None
    cursor = link(shape, vocabulary)
    for byte in answer.encode():
        cursor.advance(byte)
    assert cursor.may_end
    texts, calls = read(model, USE, iter(Frame(text=character) for character in answer))
    assert (texts[Channel.REASONING], texts[Channel.CONTENT]) == (thoughts, content)
    assert calls == [("get", '{"a":1}')] * count


def test_a_call_that_a_control_token_opens_ends_thoughts_that_stay_open() -> None:
    form = recognise_format("[TOOL_CALLS]{{ name }}[ARGS] <think>")
    ids = {"[TOOL_CALLS]": END + 1, "[ARGS]": END + 2}
    model = ChatModel(form, ControlTokens(ids))
    marks = [Mark(token_id=END + 1, position=9), Mark(token_id=END + 2, position=12)]
    frame = Frame(text='<think>hmget{"a": 1}', marks=marks)
    texts, calls = read(model, USE, iter([frame]))
    assert (texts[Channel.REASONING], calls) == ("hm", [("get", '{"a": 1}')])


def test_stop_strings_are_sought_in_content_alone() -> None:
    events = [
        Said(Channel.REASONING, "a END b"),
        Said(Channel.CONTENT, "E"),
        Said(Channel.CONTENT, "EN"),
        CallBegun(0, "get", ToolKind.FUNCTION),
        CallInput(0, "END"),
    ]
    stops = StopReader(["END"])
    read_apart = [made for one in events for made in stops.read([one], is_last=False)]
    assert [made for made in read_apart if not isinstance(made, Said)] == events[3:]
    texts = [(made.channel, made.text) for made in read_apart if isinstance(made, Said)]
    assert texts == [
        (Channel.REASONING, "a END b"),
        (Channel.CONTENT, "E"),
        (Channel.CONTENT, "EN"),
    ]
    assert not stops.has_stopped
    assert stops.read([Said(Channel.CONTENT, "xENDx")], is_last=True)[0] == Said(
        Channel.CONTENT, "x"
    )
    assert stops.has_stopped


@pytest.mark.parametrize(
    ("template", "row"),
    [
        ("{{ '<|channel|>final<|message|>' }}", "harmony"),
        ("<|call|>{{ call.function.name }}<|args|>", "formwork"),
        ("[TOOL_CALLS]{{ name }}[ARGS]", "mistral_args"),
        ("[TOOL_CALLS][", "mistral"),
        ("<tool_call>\\n</tool_call>", "hermes"),
        ("<|start_header_id|> '\"parameters\": '", "llama3"),
        ("<tool_call>\\n<function=f>\\n</tool_call>", "plain"),
        ("<tool_call>f\\n<arg_key>a</arg_key></tool_call>", "plain"),
        ("{{ message.content }}", "plain"),
    ],
)
def test_a_template_says_which_format_its_model_writes(template: str, row: str) -> None:
    assert recognise_format(template) == FORMATS[row]
    assert recognise_format(template + "<think>").reasoning is not None
    assert recognise_format(template + "[THINK]").reasoning is not None


def test_equal_parts_are_one() -> None:
    model, _ = make("hermes", "text")
    shape = model.shape(None, ToolUse(FUNCTIONS, FUNCTIONS, ToolMode.AUTO))
    assert shape is not None
    assert len(shape.parts) == 1
    assert HERMES.call is not None
