"""A conversation as a template sees it, and what a template can express, found by trying."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.messages import Message, ToolCall
from gateway.template import ChatTemplate, Markers, Part, TemplateRefusedError


@dataclass(frozen=True)
class TemplateTraits:
    """What a template can express, and which of two common habits it expects."""

    has_system: bool = True
    """Else instructions are written before the first user message (`system_in_user`)."""
    has_refusal: bool = True
    """Else an earlier refusal is written as content (`refusal_as_content`)."""
    has_name: bool = True
    """Else a message's `name` is refused."""
    has_schema: bool = True
    """Else a schema is written into the system text."""
    takes_tools_none: bool = True
    """Without tools, the variable `tools` is none; else it is not there."""
    takes_content_none: bool = True
    """Without text, a message's `content` is none; else it is empty."""


class Conversation:
    """Renders conversations with one template.

    Args:
        template: The model's.
        is_safe: Tells whether a name or id, which is not marked, spells no control token.
    """

    def __init__(self, template: ChatTemplate, is_safe: Callable[[str], bool]) -> None:
        self._template = template
        self._is_safe = is_safe
        self.traits = TemplateTraits()
        self.traits = self._probe()

    def render(self, messages: Sequence[Message], schema: str | None = None) -> list[Part]:
        """Return the prompt's parts, what the client wrote apart from what the template wrote.

        Raises:
            TemplateRefusedError: The template cannot express the messages.
        """
        markers = Markers()
        variables: dict[str, object] = {"tools": None} if self.traits.takes_tools_none else {}
        if schema is not None:
            variables["schema"] = markers.wrap(schema)
        written = [self._member(message, markers) for message in messages]
        return markers.split(self._template.render(written, **variables))

    def _member(self, message: Message, markers: Markers) -> dict[str, Any]:
        """Return a message as a template sees it, everything that the client wrote wrapped."""
        role = "system" if message.role == "developer" else message.role
        member: dict[str, Any] = {"role": role, "content": self._content(message, markers)}
        if message.refusal is not None:
            member["refusal"] = markers.wrap(message.refusal)
        if message.name is not None:
            member["name"] = markers.wrap(message.name)
        if message.tool_calls:
            member["tool_calls"] = [self._call(call, markers) for call in message.tool_calls]
        if message.tool_call_id is not None:
            member["tool_call_id"] = self._identifier(message.tool_call_id)
        return member

    def _content(self, message: Message, markers: Markers) -> str | None:
        if message.text is not None:
            return markers.wrap(message.text)
        return None if self.traits.takes_content_none else ""

    def _call(self, call: ToolCall, markers: Markers) -> dict[str, Any]:
        function = {
            "name": self._identifier(call.name),
            "arguments": markers.wrap_json(call.arguments),
        }
        return {"id": self._identifier(call.id), "type": "function", "function": function}

    def _identifier(self, text: str) -> str:
        """Return a name or id, which templates may compare and so is not wrapped."""
        if not self._is_safe(text):
            raise TemplateRefusedError(f"'{text}' spells a control token of the model")
        return text

    def _probe(self) -> TemplateTraits:
        user = Message("user", "u")
        self.traits = replace(self.traits, takes_tools_none=self._expresses([user]))
        self.traits = replace(self.traits, takes_content_none=self._expresses_call(user))
        return replace(
            self.traits,
            has_system=self._expresses([Message("system", "s"), user]),
            has_refusal=self._expresses([user, Message("assistant", None, "r"), user]),
            has_name=self._expresses([replace(user, name="n")]),
            has_schema=self._expresses([user], schema="s"),
        )

    def _expresses_call(self, user: Message) -> bool:
        """Tell whether a tool call without text comes out without the word that none prints as."""
        call = ToolCall("call_00001", "f", "{}")
        messages = [user, Message("assistant", None, tool_calls=(call,))]
        try:
            parts = self.render([*messages, Message("tool", "r", tool_call_id=call.id)])
        except TemplateRefusedError:
            return False
        return not any("None" in part.text for part in parts)

    def _expresses(self, messages: Sequence[Message], schema: str | None = None) -> bool:
        try:
            self.render(messages, schema)
        except TemplateRefusedError:
            return False
        return True
