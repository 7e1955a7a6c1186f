"""Messages and schema to prompt tokens, as a model's own chat template wants them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.adaptation import (
    refusal_as_content,
    schema_instruction,
    schema_outline,
    system_in_user,
    with_instruction,
)
from gateway.errors import RequestError
from gateway.families import Family, SchemaStyle
from gateway.messages import Message, ToolCall
from gateway.request import ChatRequest
from gateway.response_format import FormatKind, ResponseFormat
from gateway.template import ChatTemplate, Markers, Part, TemplateRefusedError
from gateway.tokenizer import PromptTokenizer


@dataclass(frozen=True)
class TemplateTraits:
    """What a template can express, found by trying it once."""

    system: bool
    """Else instructions are written before the first user message (`system_in_user`)."""
    refusal: bool
    """Else an earlier refusal is written as content (`refusal_as_content`)."""
    name: bool
    """Else a message's `name` is refused."""
    schema: bool
    """Else a schema is written into the system text."""


class PromptWriter:
    """Writes prompts for one snapshot; safe to use from several threads.

    Args:
        snapshot: Named in errors.
        family: How a schema is written.
        template: The folder's.
        tokenizer: The folder's.
    """

    def __init__(
        self, snapshot: str, family: Family, template: ChatTemplate, tokenizer: PromptTokenizer
    ) -> None:
        self._snapshot = snapshot
        self.family = family
        self._template = template
        self._tokenizer = tokenizer
        self.vocabulary_size = tokenizer.size
        self.traits = TemplateTraits(
            system=self._expresses([Message("system", "s"), Message("user", "u")]),
            refusal=self._expresses(
                [Message("user", "u"), Message("assistant", None, "r"), Message("user", "u")]
            ),
            name=self._expresses([Message("user", "u", name="n")]),
            schema=self._expresses([Message("user", "u")], schema="s"),
        )

    def write(self, request: ChatRequest) -> list[int]:
        """Return the prompt's token ids.

        Raises:
            RequestError: The template cannot express the messages; the message names it.
        """
        messages, schema = self._adapted(request.messages, request.format)
        try:
            parts = self._render(messages, schema)
        except TemplateRefusedError as error:
            raise RequestError(
                f"The chat template of '{self._snapshot}' cannot express these messages: {error}.",
                "messages",
                "unsupported_messages",
            ) from error
        return self._encode(parts)

    def _adapted(
        self, messages: Sequence[Message], form: ResponseFormat
    ) -> tuple[list[Message], str | None]:
        """Return the messages in the template's own terms, and what its variable `schema` holds."""
        self._check_names(messages)
        adapted = list(messages)
        schema: str | None = None
        if form.kind is FormatKind.JSON_SCHEMA:
            if self.family.schema_style is SchemaStyle.OUTLINE and self.traits.schema:
                schema = schema_outline(form)
            else:
                adapted = with_instruction(adapted, schema_instruction(form))
        if not self.traits.refusal:
            adapted = [refusal_as_content(message) for message in adapted]
        if not self.traits.system:
            adapted = system_in_user(adapted)
        return adapted, schema

    def _check_names(self, messages: Sequence[Message]) -> None:
        for index, message in enumerate(messages):
            if message.name is not None and not self.traits.name:
                path = f"messages[{index}].name"
                raise RequestError(
                    f"Unsupported parameter: '{path}' cannot be expressed by the chat template of "
                    f"'{self._snapshot}'.",
                    path,
                    "unsupported_parameter",
                )

    def _render(self, messages: Sequence[Message], schema: str | None) -> list[Part]:
        markers = Markers()
        variables: dict[str, object] = {"tools": None}
        if schema is not None:
            variables["schema"] = markers.wrap(schema)
        written = [self._member(message, markers) for message in messages]
        return markers.split(self._template.render(written, **variables))

    def _member(self, message: Message, markers: Markers) -> dict[str, Any]:
        """Return a message as a template sees it, everything that the client wrote wrapped."""
        role = "system" if message.role == "developer" else message.role
        member: dict[str, Any] = {"role": role, "content": ""}
        if message.text is not None:
            member["content"] = markers.wrap(message.text)
        if message.refusal is not None:
            member["refusal"] = markers.wrap(message.refusal)
        if message.name is not None:
            member["name"] = markers.wrap(message.name)
        if message.tool_calls:
            member["tool_calls"] = [self._call(call, markers) for call in message.tool_calls]
        if message.tool_call_id is not None:
            member["tool_call_id"] = self._identifier(message.tool_call_id)
        return member

    def _call(self, call: ToolCall, markers: Markers) -> dict[str, Any]:
        function = {
            "name": self._identifier(call.name),
            "arguments": markers.wrap_json(call.arguments),
        }
        return {"id": self._identifier(call.id), "type": "function", "function": function}

    def _identifier(self, text: str) -> str:
        """Return a name or id, which templates may compare and so is not wrapped."""
        if self._tokenizer.holds_added_token(text):
            raise TemplateRefusedError(f"'{text}' spells a control token of the model")
        return text

    def _encode(self, parts: Sequence[Part]) -> list[int]:
        tokens: list[int] = []
        for index, part in enumerate(parts):
            if part.is_clients:
                tokens += self._tokenizer.encode_message(part.text)
            else:
                tokens += self._tokenizer.encode_template(part.text, is_first=index == 0)
        return tokens

    def _expresses(self, messages: Sequence[Message], schema: str | None = None) -> bool:
        try:
            self._render(messages, schema)
        except TemplateRefusedError:
            return False
        return True
