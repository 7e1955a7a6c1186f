"""What one model writes around its answers: its chat format in the terms of its tokenizer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from formwork.sampler.v1.sampler_pb2 import ContentStart, Frame

from gateway.answer_forms import AnswerForms
from gateway.answer_reader import AnswerReader
from gateway.answer_shape import AnswerShape, Part, ShapeWriter
from gateway.chat_formats import ChatFormat
from gateway.control_tokens import ControlTokens
from gateway.first_keys import may_begin_with
from gateway.grammars import Subject
from gateway.response_format import ResponseFormat
from gateway.tool_memory import TIMES_TEXT
from gateway.tools import Tool, ToolUse
from mesh.errors import InternalError
from mesh.memory import BoundedMemory

_SHAPES_BYTES = 16 * 1024 * 1024
_ENTRY_BYTES = 1024


@dataclass(frozen=True)
class _Remembered:
    shape: AnswerShape | None
    size: int


def _remember_shapes() -> BoundedMemory[object, _Remembered]:
    return BoundedMemory(_SHAPES_BYTES, lambda remembered: remembered.size)


@dataclass(frozen=True)
class ChatModel:
    """Makes shapes and readers of answers.

    Args:
        form: The model's chat format.
        tokens: Its control tokens.
        is_thinking: Its prompts end inside the reasoning.
        token_names: Spellings of all control tokens of its tokenizer, by id.
    """

    form: ChatFormat
    tokens: ControlTokens
    is_thinking: bool = False
    token_names: Mapping[int, str] = field(default_factory=dict)
    _shapes: BoundedMemory[object, _Remembered] = field(
        default_factory=_remember_shapes, repr=False, compare=False
    )

    def shape(self, content: Part | None, use: ToolUse) -> AnswerShape | None:
        """Return what an answer must look like; None where it may be any text.

        Shapes are remembered: the turns of one conversation have the same tools. Which is listed
        first makes no difference: they are a choice.
        """
        offered = sorted(use.callable, key=_name_of)
        key = (content, use.mode, use.max_calls, bool(use.tools), *map(_facts_of, offered))
        remembered = self._shapes.find(key)
        if remembered is None:
            shape = self._writer.write(content, replace(use, callable=tuple(offered)))
            remembered = _Remembered(shape, _size(content, use))
            self._shapes.record(key, remembered)
        return remembered.shape

    def subjects(self, form: ResponseFormat, use: ToolUse) -> Iterator[tuple[Part, Subject]]:
        """Yield what errors call each part of an answer: tools in the order in which they stand."""
        writer = self._writer
        for tool in use.callable:
            part = writer.part_of(tool)
            if part is not None:
                yield part, tool.subject
        if form.part is not None:
            yield form.part, form.subject

    def reader(self, use: ToolUse, *, is_structured: bool = False) -> AnswerReader:
        """Return the reader of one answer, whose content follows a format or is any text."""
        kinds = {tool.name: tool.kind for tool in use.callable}
        return AnswerReader(
            self._forms, kinds, is_structured=is_structured, is_thinking=self.is_thinking
        )

    @cached_property
    def content_start(self) -> ContentStart | None:
        """Where content begins behind what may come before it; None: it comes first."""
        thinking, opening = self.form.reasoning, self.form.content_opening
        writer = self._writer
        if opening:
            return ContentStart(until=writer.write_form(opening))
        if thinking is None:
            return None
        before = [] if self.is_thinking else writer.write_form(thinking.opening)
        return ContentStart(
            opening=before, until=writer.write_form(thinking.until + thinking.after)
        )

    @property
    def _writer(self) -> ShapeWriter:
        return ShapeWriter(self.form, self.tokens, self.is_thinking)

    @cached_property
    def _forms(self) -> AnswerForms:
        return AnswerForms.of(self.form, self.tokens)

    def tells_calls_from(self, schema: object) -> bool:
        """Return whether it is certain that no content under a schema begins like a call."""
        keys = self.form.call_keys
        return not keys or not may_begin_with(schema, keys)

    def text_of(self, frame: Frame) -> str:
        """Return the text of a frame with its control tokens in their places.

        Raises:
            InternalError: A control token that the tokenizer does not have.
        """
        pieces, start = [], 0
        for mark in frame.marks:
            character = self.tokens.character(mark.token_id)
            if character is None:
                raise InternalError(f"The answer holds an unknown control token {mark.token_id}.")
            pieces += [frame.text[start : mark.position], character]
            start = mark.position
        return "".join(pieces) + frame.text[start:]


def _size(content: Part | None, use: ToolUse) -> int:
    """Return about how many bytes a remembered shape holds, with what it was asked by."""
    tools = sum(len(tool.grammar.text) for tool in use.tools if tool.grammar is not None)
    # as the client wrote it, and as validators are made from it
    form = 2 * len(content.grammar.text) if content is not None else 0
    return _ENTRY_BYTES * (1 + len(use.tools)) + TIMES_TEXT * tools + form


def _name_of(tool: Tool) -> str:
    return tool.name


def _facts_of(tool: Tool) -> object:
    """Return what a shape depends on."""
    return tool.kind, tool.name, tool.grammar, tool.strict
