"""A conversation as a template sees it, and what a template can express, found by trying."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from gateway.messages import Message, ToolCall
from gateway.template import (
    ChatTemplate,
    Markers,
    Part,
    TemplateRefusedError,
    ToolsRefusedError,
)
from gateway.tokenizer import PromptTokenizer

_SHORT_ID = re.compile(r"[A-Za-z0-9]{9}")
_PROBE = "look_up_nothing"
_PROBE_SCHEMA = {"type": "object", "properties": {"it": {"type": "string"}}, "required": ["it"]}
_FUNCTION = {"name": _PROBE, "description": "d", "parameters": _PROBE_SCHEMA}
# As templates expect one, whether they look for a function, its members or an outline.
_PROBE_TOOL = {**_FUNCTION, "outline": "o", "type": "function", "function": _FUNCTION}


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
    has_tools: bool = True
    """Else the model would not see them, so that they are refused."""
    takes_tools_none: bool = True
    """Without tools, the variable `tools` is none; else it is not there."""
    takes_content_none: bool = True
    """Without text, a message's `content` is none; else it is empty."""


class Conversation:
    """Renders conversations with one template.

    Args:
        template: The model's.
        tokenizer: Tells what makes a control token.
        wraps_custom: The input of a custom tool's call is written as JSON.
        short_ids: Ids of calls have nine letters and digits.
    """

    def __init__(
        self,
        template: ChatTemplate,
        tokenizer: PromptTokenizer,
        *,
        wraps_custom: bool = False,
        short_ids: bool = False,
    ) -> None:
        self._template = template
        self._tokenizer = tokenizer
        self._wraps_custom = wraps_custom
        self._short_ids = short_ids
        self.traits = TemplateTraits()
        self.traits = self._probe()

    @property
    def ending(self) -> str:
        """What the template writes last, behind which the model goes on."""
        last = self.render([Message("user", "u")])[-1]
        return "" if last.is_clients else last.text

    def render(
        self,
        messages: Sequence[Message],
        schema: str | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> list[Part]:
        """Return the prompt's parts, what the client wrote apart from what the template wrote.

        Args:
            messages: Of the conversation.
            schema: What the template's variable of that name holds.
            tools: As the template wants them; their texts are the client's.

        Raises:
            TemplateRefusedError: The template cannot express the messages, or the tools.
        """
        parts = self._render(messages, schema, tools)
        if tools:
            self._check_tools(parts, messages, schema, len(tools))
        return parts

    def _render(
        self,
        messages: Sequence[Message],
        schema: str | None,
        tools: Sequence[Mapping[str, Any]],
    ) -> list[Part]:
        markers = Markers()
        variables: dict[str, object] = {"tools": None} if self.traits.takes_tools_none else {}
        if schema is not None:
            variables["schema"] = markers.wrap(schema)
        if tools:
            variables["tools"] = self._tools(tools, markers)
        written = [self._member(message, markers) for message in messages]
        return markers.split(self._template.render(written, **variables))

    def _check_tools(
        self, parts: Sequence[Part], messages: Sequence[Message], schema: str | None, count: int
    ) -> None:
        """Refuse tools that make a control token together with what the template writes.

        Some templates write keys as tags, so that `|end|` becomes `<|end|>`: tools of ours must
        give as many.
        """
        ours = self._render(messages, schema, [_PROBE_TOOL] * count)
        if self._control_tokens(parts) != self._control_tokens(ours):
            raise ToolsRefusedError("a key or a text spells a control token of the model")

    def _control_tokens(self, parts: Sequence[Part]) -> list[str]:
        """Return the spellings of control tokens in what the template wrote."""
        return self._tokenizer.spelled_control(part.text for part in parts if not part.is_clients)

    def _member(self, message: Message, markers: Markers) -> dict[str, Any]:
        """Return a message as a template sees it, everything that the client wrote wrapped."""
        role = "system" if message.role == "developer" else message.role
        member: dict[str, Any] = {"role": role, "content": self._content(message, markers)}
        if message.reasoning is not None:
            # under the names that templates know; most drop thoughts of before the last question
            thoughts = markers.wrap(message.reasoning, is_optional=True)
            member |= dict.fromkeys(("reasoning_content", "thinking"), thoughts)
        if message.refusal is not None:
            member["refusal"] = markers.wrap(message.refusal)
        if message.name is not None:
            member["name"] = markers.wrap(message.name)
        if message.tool_calls:
            member["tool_calls"] = [self._call(call, markers) for call in message.tool_calls]
        if message.tool_call_id is not None:
            member["tool_call_id"] = self._call_id(message.tool_call_id)
        return member

    def _content(self, message: Message, markers: Markers) -> str | None:
        if message.text is not None:
            return markers.wrap(message.text)
        return None if self.traits.takes_content_none else ""

    def _call(self, call: ToolCall, markers: Markers) -> dict[str, Any]:
        is_wrapped = call.is_custom and self._wraps_custom
        written = json.dumps({"input": call.arguments}) if is_wrapped else call.arguments
        function = {
            "name": self._identifier(call.name),
            "arguments": markers.wrap_json(written),
        }
        return {"id": self._call_id(call.id), "type": "function", "function": function}

    def _tools(self, tools: Sequence[Mapping[str, Any]], markers: Markers) -> list[Any]:
        written: list[Any] = []
        try:
            for number, tool in enumerate(tools):
                # ours are one many times over, and have nothing to wrap
                again = number > 0 and tool is tools[number - 1] and tool == written[-1]
                written.append(written[-1] if again else self._tool(tool, markers))
        except RecursionError as error:
            raise ToolsRefusedError("they are nested too deeply") from error
        return written

    def _tool(self, value: Any, markers: Markers) -> Any:  # noqa: ANN401 - JSON
        """Return a tool with every text wrapped that spells a control token.

        The others stay as they are, for templates that look into schemas; so do keys, which may
        spell none.
        """
        match value:
            case str():
                return value if self._is_safe(value) else markers.wrap(value)
            case list():
                return [self._tool(item, markers) for item in value]
            case dict():
                items = value.items()
                return {self._key(key): self._tool(item, markers) for key, item in items}
        return value

    def _key(self, text: str) -> str:
        if not self._is_safe(text):
            raise ToolsRefusedError(f"the key '{text[:64]}' spells a control token of the model")
        return text

    def _is_safe(self, text: str) -> bool:
        """Return whether a text makes no control token with other texts beside it."""
        return not self._tokenizer.may_make_added_token(text)

    def _call_id(self, text: str) -> str:
        """Return the id of a call as the template takes it: another model may have made it."""
        if self._short_ids and not _SHORT_ID.fullmatch(text):
            return sha256(text.encode()).hexdigest()[:9]
        return self._identifier(text)

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
            has_tools=self._shows_tools(user),
        )

    def _shows_tools(self, user: Message) -> bool:
        try:
            parts = self.render([user], tools=[_PROBE_TOOL])
        except TemplateRefusedError:
            return False
        return any(_PROBE in part.text for part in parts)

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
