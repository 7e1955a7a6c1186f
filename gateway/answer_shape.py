"""From a request to the envelope of its answer: what may be written, control tokens included."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

from formwork.sampler.v1.sampler_pb2 import Branches, FreeText, Piece, Pieces, Repeat

from gateway.chat_formats import CallForm, ChatFormat, CustomInput, trigger_of
from gateway.control_tokens import ControlTokens, is_control
from gateway.grammars import Grammar, Syntax
from gateway.tools import Tool, ToolKind, ToolMode, ToolUse

_WRAPPED_INPUT = Grammar(
    Syntax.JSON_SCHEMA,
    '{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],'
    '"additionalProperties":false}',
)
_ANY_TEXT = Piece(free_text=FreeText())


@dataclass(frozen=True)
class Part:
    """A grammar in an answer; `strict` asks for the strict dialect."""

    grammar: Grammar
    strict: bool = False


@dataclass(frozen=True)
class AnswerShape:
    """What an envelope's parts are made of, in the order of their numbers, and the envelope.

    That is written when it is first wanted: the indexes of its parts can be asked for before.
    """

    parts: tuple[Part, ...]
    write: Callable[[], Piece] = field(repr=False, compare=False)

    @cached_property
    def piece(self) -> Piece:
        """The envelope."""
        return self.write()

    @property
    def is_part_alone(self) -> bool:
        """Whether the answer is a text of its one part, and nothing else."""
        return self.piece.WhichOneof("kind") == "part"


@dataclass
class ShapeWriter:
    """Writes the shape of one request's answers.

    Args:
        form: Of the model.
        tokens: Of its tokenizer.
        is_thinking: The prompt has opened the reasoning already.
    """

    form: ChatFormat
    tokens: ControlTokens
    is_thinking: bool = False
    parts: list[Part] = field(default_factory=list)
    numbers: dict[tuple[bytes, bool], int] = field(default_factory=dict)

    def write(self, content: Part | None, use: ToolUse) -> AnswerShape | None:
        """Return the shape of an answer; None where nothing constrains it.

        Args:
            content: What the content must look like; None: any text.
            use: Which tools may be called.
        """
        self._collect(content, use)
        if self.parts:
            return AnswerShape(tuple(self.parts), lambda: self._write(content, use))
        piece = self._write(content, use)
        return None if piece == _ANY_TEXT else AnswerShape((), lambda: piece)

    def _collect(self, content: Part | None, use: ToolUse) -> None:
        """Number the parts."""
        tools = use.callable if self.form.call is not None else ()
        for part in (*map(self.part_of, tools), content):
            if part is not None:
                self._number(part)

    def _write(self, content: Part | None, use: ToolUse) -> Piece:
        calls = self._all_calls(content, use)
        contents = [] if calls and use.mode is ToolMode.REQUIRED else [self._content(content, use)]
        return _all_of([*self._thoughts(), _one_of([*contents, *calls])])

    # -- thoughts and content -------------------------------------------------------------------

    def _thoughts(self) -> list[Piece]:
        thinking = self.form.reasoning
        if thinking is None:
            return []
        until, after = thinking.until, thinking.after
        if not isinstance(next(self.tokens.split(self.tokens.spell(until)), 0), str):
            until, after = "", until + after  # a control token ends them, in this tokenizer
        free = FreeText(until=[until] if until else [])
        inside = [Piece(free_text=free), *self.write_form(after)]
        if self.is_thinking:
            return inside
        whole = _all_of([*self.write_form(thinking.opening), *inside])
        return [Piece(repeat=Repeat(piece=whole, minimum=0, maximum=1))]

    def _content(self, content: Part | None, use: ToolUse) -> Piece:
        """Return what may be written without a call; where tools are shown, nothing opens one."""
        if content is not None:
            inside = Piece(part=self._number(content))
        else:
            without = [self._trigger] if use.tools and self._trigger else []
            inside = Piece(free_text=FreeText(without=without))
        return _all_of([*self.write_form(self.form.content_opening), inside])

    # -- calls ----------------------------------------------------------------------------------

    def _all_calls(self, content: Part | None, use: ToolUse) -> list[Piece]:
        """Return calls, none where none may be made, with text before them where that may be."""
        if self.form.call is None or not use.callable:
            return []
        is_free = self.form.text_before_calls and content is None and use.mode is ToolMode.AUTO
        return [self._calls(use, is_free=is_free)]

    def _calls(self, use: ToolUse, *, is_free: bool) -> Piece:
        """Return one or more calls, behind any text or nothing."""
        form = self._call_form
        lead = self.form.calls_opening + form.opening
        first = self._named(use.callable)
        pieces = [*self.write_form(lead.removeprefix(self._trigger)), *first]
        most = use.max_calls if self.form.parallel else 1
        if most > 1:
            again = self.write_form(self.form.between_calls + form.opening)
            more = _all_of([*again, *first])
            pieces.append(Piece(repeat=Repeat(piece=more, minimum=0, maximum=most - 1)))
        closing = self.write_form(self.form.calls_closing)
        return _all_of([*self._before_calls(is_free=is_free), *pieces, *closing])

    def _before_calls(self, *, is_free: bool) -> list[Piece]:
        """Return the way to the first call, its trigger included where there is one."""
        if is_free:
            return [Piece(free_text=FreeText(until=[self._trigger] if self._trigger else []))]
        return self.write_form(self._trigger)

    def _named(self, tools: Sequence[Tool]) -> list[Piece]:
        """Return the rest of a call behind its opening: one of the names, and what fits it."""
        parts = [(tool, self._plain_part(tool)) for tool in tools]
        plain = [(tool.name, part) for tool, part in parts if part is not None]
        others = [_all_of(self._call(tool)) for tool, part in parts if part is None]
        return [_one_of([self._branches(plain), *others] if plain else others)]

    def _plain_part(self, tool: Tool) -> Part | None:
        """Return the part that is all of a tool's input; None where it is not all, or none."""
        return None if self._is_wrapped(tool) else self.part_of(tool)

    def _branches(self, named: Sequence[tuple[str, Part]]) -> Piece:
        """Return calls that differ in a name and a part alone."""
        between = self.write_form(self._call_form.after_name)
        behind_name = between.pop(0).text if between and _is_text(between[0]) else ""
        return Piece(
            branches=Branches(
                texts=[name + behind_name for name, _ in named],
                between=between,
                parts=[self._number(part) for _, part in named],
                after=self.write_form(self._call_form.closing),
            )
        )

    def _call(self, tool: Tool) -> list[Piece]:
        form = self._call_form
        head = self.write_form(tool.name + form.after_name)
        return [*head, self._input(tool), *self.write_form(form.closing)]

    def _input(self, tool: Tool) -> Piece:
        part = self.part_of(tool)
        if part is None:
            return Piece(free_text=FreeText())
        inside = Piece(part=self._number(part))
        if not self._is_wrapped(tool) or tool.grammar is None:
            return inside
        return _all_of([Piece(text='{"input": "'), inside, Piece(text='"}')])

    def part_of(self, tool: Tool) -> Part | None:
        """Return what the input of a tool is, or the string in it; None where it is any text.

        Where the input of a custom tool is a JSON object with a string, its grammar holds for that.
        """
        grammar = tool.grammar
        if not self._is_wrapped(tool):
            return None if grammar is None else Part(grammar, tool.strict)
        inside = _WRAPPED_INPUT if grammar is None else replace(grammar, in_json_string=True)
        return Part(inside)

    def _is_wrapped(self, tool: Tool) -> bool:
        return tool.kind is ToolKind.CUSTOM and self._call_form.custom is CustomInput.WRAPPED

    @property
    def _call_form(self) -> CallForm:
        if self.form.call is None:
            raise ValueError("the format has no calls")
        return self.form.call

    @property
    def _trigger(self) -> str:
        """Text by which a call is told from content; empty where a control token opens it."""
        trigger = trigger_of(self.form, self.tokens)
        return "" if any(map(is_control, trigger)) else trigger

    # -- pieces ---------------------------------------------------------------------------------

    def _number(self, part: Part) -> int:
        """Return the number of a part, which is shared by all that are equal."""
        number = self.numbers.setdefault((part.grammar.key, part.strict), len(self.parts))
        if number == len(self.parts):
            self.parts.append(part)
        return number

    def write_form(self, text: str) -> list[Piece]:
        """Return the pieces of a form: texts and control tokens."""
        return [_literal(part) for part in self.tokens.read(text)]


@lru_cache(maxsize=4096)
def _literal(part: str | int) -> Piece:
    """Return the piece of a text or a control token; it is shared, and so never changed."""
    return Piece(special_token=part) if isinstance(part, int) else Piece(text=part)


def _all_of(pieces: Sequence[Piece]) -> Piece:
    return pieces[0] if len(pieces) == 1 else Piece(sequence=Pieces(pieces=_merged(pieces)))


def _one_of(pieces: Sequence[Piece]) -> Piece:
    return pieces[0] if len(pieces) == 1 else Piece(choice=Pieces(pieces=pieces))


def _is_text(piece: Piece) -> bool:
    return piece.WhichOneof("kind") == "text"


def _merged(pieces: Sequence[Piece]) -> list[Piece]:
    """Return pieces with texts that follow one another as one."""
    merged: list[Piece] = []
    for piece in pieces:
        if merged and _is_text(piece) and _is_text(merged[-1]):
            merged[-1] = Piece(text=merged[-1].text + piece.text)
        else:
            merged.append(piece)
    return merged
