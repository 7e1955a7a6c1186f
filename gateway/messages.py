"""Reads the `messages` of a chat request."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.errors import RequestError
from gateway.fields import read_array, read_choice, read_members, read_string, refuse_type, require

ROLES = ("developer", "system", "user", "assistant", "tool")
PART_SEPARATOR = "\n"
_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_CALL_ID = re.compile(r"[A-Za-z0-9_.:\-]{1,128}")
_MAX_PARTS = 2048
_MAX_CALLS = 128
# What the input of a call is called, by the kind of its tool.
_INPUTS = {"function": "arguments", "custom": "input"}
# Known to OpenAI, not to this server.
_OTHER_PARTS = {"image_url": "image", "input_audio": "audio", "file": "file"}


@dataclass(frozen=True)
class ToolCall:
    """A call that the assistant made earlier; `arguments` is the text that it wrote.

    Of a custom tool it is the input, which need not be JSON.
    """

    id: str
    name: str
    arguments: str
    is_custom: bool = False


@dataclass(frozen=True)
class Message:
    """One message of the conversation, its text parts joined."""

    role: str
    text: str | None
    refusal: str | None = None
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: str | None = None
    """What the assistant thought before, where the client sends it back; templates may drop it."""

    @property
    def characters(self) -> int:
        """How many characters a prompt has of it, at least."""
        texts = (self.text, self.refusal, *(call.arguments for call in self.tool_calls))
        return sum(len(text or "") for text in texts)

    @property
    def all_characters(self) -> int:
        """How many it has, with thoughts that a template may drop."""
        return self.characters + len(self.reasoning or "")


def read_messages(value: object, maximum: int) -> tuple[Message, ...]:
    """Return the messages of a request.

    Raises:
        RequestError: Malformed; the path names the message.
    """
    items = read_array(value, "messages", 1, maximum)
    messages = tuple(_read_message(item, f"messages[{n}]") for n, item in enumerate(items))
    _check_answered(messages)
    return messages


def mention_json(messages: tuple[Message, ...]) -> bool:
    """Return whether the word JSON stands somewhere: OpenAI's condition for JSON mode."""
    return any("json" in (message.text or "").lower() for message in messages)


def _read_message(value: object, path: str) -> Message:
    if not isinstance(value, dict):
        refuse_type(value, path, "an object")
    role = read_choice(require(value, "role", path), f"{path}.role", ROLES)
    return _READERS[role](value, path)


def _read_instruction(value: dict[str, Any], path: str) -> Message:
    members = read_members(value, path, ("role", "content", "name"))
    text = _read_content(require(members, "content", path), f"{path}.content")
    return Message(str(members["role"]), text, name=_read_name(members, path))


def _read_tool(value: dict[str, Any], path: str) -> Message:
    members = read_members(value, path, ("role", "content", "tool_call_id"))
    text = _read_content(require(members, "content", path), f"{path}.content")
    call_id = _read_call_id(require(members, "tool_call_id", path), f"{path}.tool_call_id")
    return Message("tool", text, tool_call_id=call_id)


def _read_assistant(value: dict[str, Any], path: str) -> Message:
    # `annotations`, empty, comes back when a client appends our answer to its history.
    known = (
        "role",
        "content",
        "refusal",
        "name",
        "tool_calls",
        "reasoning_content",
        "annotations",
        "audio",
        "function_call",
    )
    members = read_members(value, path, known)
    for key in ("audio", "function_call"):
        if key in members:
            _refuse_known(f"{path}.{key}")
    if members.get("annotations"):
        _refuse_known(f"{path}.annotations")
    calls = _read_calls(members.get("tool_calls"), f"{path}.tool_calls")
    text, refusal = _read_answer(members, path)
    if text is None and refusal is None and not calls:
        require(members, "content", path)
    return Message(
        "assistant",
        text,
        refusal,
        _read_name(members, path),
        calls,
        reasoning=_read_reasoning(members, path),
    )


def _read_reasoning(members: dict[str, Any], path: str) -> str | None:
    reasoning = members.get("reasoning_content")
    return None if reasoning is None else read_string(reasoning, f"{path}.reasoning_content")


def _read_answer(members: dict[str, Any], path: str) -> tuple[str | None, str | None]:
    refusal = members.get("refusal")
    if refusal is not None:
        refusal = read_string(refusal, f"{path}.refusal")
    content = members.get("content")
    if content is None:
        return None, refusal
    text = _read_content(content, f"{path}.content", refusals=True)
    return (None if refusal and not text else text), refusal


def _read_calls(value: object, path: str) -> tuple[ToolCall, ...]:
    if value is None:
        return ()
    items = read_array(value, path, 1, _MAX_CALLS)
    return tuple(_read_call(item, f"{path}[{index}]") for index, item in enumerate(items))


def _read_call(value: object, path: str) -> ToolCall:
    if not isinstance(value, dict):
        refuse_type(value, path, "an object")
    kind = read_choice(require(value, "type", path), f"{path}.type", tuple(_INPUTS))
    members = read_members(value, path, ("id", "type", kind))
    call_id = _read_call_id(require(members, "id", path), f"{path}.id")
    where, key = f"{path}.{kind}", _INPUTS[kind]
    inner = read_members(require(members, kind, path), where, ("name", key))
    name = read_string(require(inner, "name", where), f"{where}.name")
    _check_pattern(name, f"{where}.name", _NAME)
    written = read_string(require(inner, key, where), f"{where}.{key}")
    return ToolCall(call_id, name, written, is_custom=kind == "custom")


def _check_answered(messages: tuple[Message, ...]) -> None:
    """Refuse tool messages that answer no call, and calls that are not answered at once."""
    waiting: dict[str, None] = {}
    for index, message in enumerate(messages):
        if message.tool_call_id is not None:
            if message.tool_call_id not in waiting:
                raise RequestError(
                    "Invalid parameter: messages with role 'tool' must be a response to a "
                    "preceeding message with 'tool_calls'.",
                    f"messages[{index}].role",
                    "invalid_value",
                )
            del waiting[message.tool_call_id]
            continue
        _refuse_unanswered(waiting, index)
        waiting = {call.id: None for call in message.tool_calls}
    _refuse_unanswered(waiting, len(messages))


def _refuse_unanswered(waiting: dict[str, None], index: int) -> None:
    if waiting:
        raise RequestError(
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            "to each 'tool_call_id'. The following tool_call_ids did not have response messages: "
            f"{', '.join(list(waiting)[:8])}",
            f"messages[{index - 1}].tool_calls",
            "invalid_value",
        )


def _read_content(value: object, path: str, *, refusals: bool = False) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        refuse_type(value, path, "one of a string or array of content parts")
    parts = read_array(value, path, 1, _MAX_PARTS)
    texts = [
        _read_part(part, f"{path}[{index}]", refusals=refusals) for index, part in enumerate(parts)
    ]
    return PART_SEPARATOR.join(texts)


def _read_part(value: object, path: str, *, refusals: bool) -> str:
    if not isinstance(value, dict):
        refuse_type(value, path, "an object")
    kind = value.get("type")
    if isinstance(kind, str) and kind in _OTHER_PARTS:
        raise RequestError(
            f"Content of type '{kind}' is not supported yet: this model reads text, not "
            f"{_OTHER_PARTS[kind]} parts.",
            f"{path}.type",
            "unsupported_value",
        )
    kind = read_choice(
        require(value, "type", path), f"{path}.type", ("text", "refusal") if refusals else ("text",)
    )
    members = read_members(value, path, ("type", kind))
    return read_string(require(members, kind, path), f"{path}.{kind}")


def _read_name(members: dict[str, Any], path: str) -> str | None:
    if "name" not in members:
        return None
    return _check_pattern(read_string(members["name"], f"{path}.name"), f"{path}.name", _NAME)


def _read_call_id(value: object, path: str) -> str:
    return _check_pattern(read_string(value, path), path, _CALL_ID)


def _check_pattern(text: str, path: str, pattern: re.Pattern[str]) -> str:
    if not pattern.fullmatch(text):
        raise RequestError(
            f"Invalid '{path}': string does not match pattern. Expected a string that matches the "
            f"pattern '^{pattern.pattern}$'.",
            path,
            "invalid_value",
        )
    return text


def _refuse_known(path: str) -> None:
    raise RequestError(
        f"Unsupported parameter: '{path}' is not supported yet.", path, "unsupported_parameter"
    )


_READERS: dict[str, Callable[[dict[str, Any], str], Message]] = {
    "developer": _read_instruction,
    "system": _read_instruction,
    "user": _read_instruction,
    "assistant": _read_assistant,
    "tool": _read_tool,
}
