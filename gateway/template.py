"""Chat templates: rendered in an immutable sandbox, bounded, and unable to mix texts with roles.

What a client wrote is wrapped in markers of a random nonce before rendering; the rendered text is
split at them. So the parts that the template wrote and those that the client wrote stay apart, and
only the former may hold control tokens.
"""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mesh.clock import Clock


class TemplateRefusedError(Exception):
    """The template raised, or lost or repeated a text; the message says which."""

    param = "messages"


class ToolsRefusedError(TemplateRefusedError):
    """The tools cannot be written as they are."""

    param = "tools"


@dataclass(frozen=True)
class Part:
    """A stretch of a prompt, and whether the client wrote it."""

    text: str
    is_clients: bool


class JsonText(str):
    """Text that is JSON already: `tojson` leaves it as it is."""

    __slots__ = ()


class Markers:
    """Wraps what a client wrote, and finds it again in the rendered text."""

    def __init__(self) -> None:
        self._nonce = secrets.token_hex(16)
        self._count = 0
        self._optional: set[str] = set()

    def wrap(self, text: str, *, is_optional: bool = False) -> str:
        """Return the text between two markers; nothing stays nothing, as templates may drop it.

        Args:
            text: What a client wrote.
            is_optional: The template may leave it out.
        """
        if not text:
            return ""
        number = self._next()
        if is_optional:
            self._optional.add(str(number))
        return f"{self._start(number)}{text}{self._end}"

    def wrap_json(self, text: str) -> JsonText:
        """Return JSON text between two markers."""
        return JsonText(self.wrap(text))

    def split(self, rendered: str) -> list[Part]:
        """Return the parts of a rendered text in their order.

        Raises:
            TemplateRefusedError: A wrapped text is missing, cut, nested or there twice.
        """
        head, *rest = rendered.split(f"[{self._nonce}:")
        parts, seen = [Part(head, is_clients=False)], set()
        for piece in rest:
            number, _, body = piece.partition("]")
            text, end, tail = body.partition(self._end)
            if not end or self._nonce in tail:
                raise TemplateRefusedError("it cuts the text of a message")
            if number in seen:
                raise TemplateRefusedError("it writes the text of a message twice")
            seen.add(number)
            parts += [Part(text, is_clients=True), Part(tail, is_clients=False)]
        if len(seen | self._optional) != self._count:
            raise TemplateRefusedError("it leaves out the text of a message")
        return [part for part in parts if part.text]

    def _next(self) -> int:
        self._count += 1
        return self._count - 1

    def _start(self, number: int) -> str:
        return f"[{self._nonce}:{number}]"

    @property
    def _end(self) -> str:
        return f"[/{self._nonce}]"


class GenerationTag(Extension):
    """`{% generation %}`: marks the assistant's tokens for training, which changes nothing here."""

    tags = {"generation"}  # noqa: RUF012 - as jinja2 declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Return what stands inside the block."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class ChatTemplate:
    """One compiled chat template.

    Args:
        source: Jinja text, as model folders have it.
        constants: Variables such as `bos_token`.
        clock: Read by `strftime_now`, and for the bound in time.
        max_characters: Longest rendered text.
        max_seconds: Longest rendering.

    Raises:
        TemplateError: Not a template.
    """

    def __init__(
        self,
        source: str,
        constants: Mapping[str, str],
        clock: Clock,
        *,
        max_characters: int,
        max_seconds: float,
    ) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, GenerationTag]
        )
        environment.filters["tojson"] = to_json
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = lambda form: _local(clock.now()).strftime(form)
        self._template = environment.from_string(source)
        self._constants = dict(constants)
        self._clock = clock
        self._max_characters = max_characters
        self._max_seconds = max_seconds

    def render(self, messages: Sequence[Mapping[str, Any]], **variables: object) -> str:
        """Return the rendered text, ready for the assistant's answer.

        Raises:
            TemplateRefusedError: The template raised, or went beyond a bound.
        """
        pieces = self._template.generate(
            messages=messages, add_generation_prompt=True, **self._constants, **variables
        )
        try:
            return "".join(self._bounded(pieces))
        except TemplateRefusedError:
            raise
        except (TemplateError, TypeError, ValueError, LookupError, AttributeError) as error:
            raise TemplateRefusedError(f"it says: {str(error)[:300]}") from error
        except (ArithmeticError, RecursionError) as error:
            raise TemplateRefusedError("it fails on these messages") from error

    def _bounded(self, pieces: Iterator[str]) -> Iterator[str]:
        until = self._clock.monotonic() + self._max_seconds
        characters = 0
        for piece in pieces:
            characters += len(piece)
            if characters > self._max_characters:
                raise TemplateRefusedError(
                    f"the prompt is longer than {self._max_characters} characters"
                )
            if self._clock.monotonic() > until:
                raise TemplateRefusedError(f"it takes longer than {self._max_seconds:g} s")
            yield piece


def to_json(
    value: object,
    ensure_ascii: bool = False,  # noqa: FBT001, FBT002 - the signature that templates call
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,  # noqa: FBT001, FBT002 - the signature that templates call
) -> str:
    """Write JSON as `transformers` does in templates, not escaped for HTML; JSON text stays."""
    if isinstance(value, JsonText):
        return str(value)
    if isinstance(value, dict) and any(isinstance(inner, JsonText) for inner in value.values()):
        members = (f"{json.dumps(key)}: {to_json(inner)}" for key, inner in value.items())
        return "{" + ", ".join(members) + "}"
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _local(moment: datetime) -> datetime:
    return moment.astimezone()
