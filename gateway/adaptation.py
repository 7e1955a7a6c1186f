"""Conversations put into the terms of a template that cannot express them as they are."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from gateway.chat_formats import Reasoning
from gateway.families import SCHEMA_INSTRUCTION
from gateway.messages import Message
from gateway.response_format import ResponseFormat
from gateway.schema_outline import outline
from gateway.tools import Tool, ToolKind

_INSTRUCTING = ("system", "developer")
_BETWEEN = "\n\n"


def schema_outline(form: ResponseFormat) -> str:
    """Return the sketch of a schema, its description where a sketch has one."""
    sketch = outline(form.schema)
    return f"{sketch} /*{form.description}*/" if form.description else sketch


def schema_instruction(form: ResponseFormat) -> str:
    """Return the instruction to follow a schema, in words, for templates without a place for it."""
    lines = [form.description] if form.description else []
    return "\n".join([*lines, SCHEMA_INSTRUCTION, form.schema_text])


def tool_outline(tool: Tool) -> dict[str, Any]:
    """Return a tool for templates that show sketches."""
    is_function = tool.kind is ToolKind.FUNCTION
    sketch = tool.parameters.outline if is_function else _input_sketch(tool)
    return {"name": tool.name, "outline": sketch, "description": tool.description}


def tool_object(tool: Tool) -> dict[str, Any]:
    """Return a tool as most templates expect it: OpenAI's object of a function."""
    is_function = tool.kind is ToolKind.FUNCTION
    schema = tool.parameters.schema if is_function else _input_schema(tool)
    parameters = {"properties": {}, **schema}  # which templates read without asking
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}


def _input_schema(tool: Tool) -> dict[str, Any]:
    """Return the schema of a custom tool's input where calls are JSON, its grammar in words."""
    described = {} if tool.grammar is None else {"description": _input_sketch(tool)}
    text = {"type": "string", **described}
    return {"type": "object", "properties": {"input": text}, "required": ["input"]}


def _input_sketch(tool: Tool) -> str:
    """Return what a custom tool takes, in words and the grammar's own text."""
    return "text" if tool.grammar is None else f"{tool.grammar.syntax}: {tool.grammar.text}"


def with_instruction(messages: Sequence[Message], instruction: str) -> list[Message]:
    """Return the messages with an instruction at the end of the first system text."""
    first = messages[0]
    if first.role in _INSTRUCTING:
        return [replace(first, text=_joined([first.text, instruction])), *messages[1:]]
    return [Message("system", instruction), *messages]


def refusal_as_content(message: Message) -> Message:
    """Return an earlier refusal as what it said."""
    if message.refusal is None:
        return message
    return replace(message, text=_joined([message.text, message.refusal]), refusal=None)


def thoughts_apart(message: Message, thinking: Reasoning) -> Message:
    """Return an earlier answer without the thoughts that its content begins with."""
    head, end, rest = (message.text or "").partition(thinking.until)
    opened = head.lstrip()
    if not end or message.role != "assistant" or not opened.startswith(thinking.opening):
        return message
    thoughts = opened.removeprefix(thinking.opening).strip("\n")
    return replace(message, text=rest.lstrip("\n"), reasoning=message.reasoning or thoughts)


def system_in_user(messages: Sequence[Message]) -> list[Message]:
    """Return the messages with every instruction before the first user message's text."""
    instructions = [message.text for message in messages if message.role in _INSTRUCTING]
    others = [message for message in messages if message.role not in _INSTRUCTING]
    if not instructions:
        return others
    for index, message in enumerate(others):
        if message.role == "user":
            merged = replace(message, text=_joined([*instructions, message.text]))
            return [*others[:index], merged, *others[index + 1 :]]
    return [Message("user", _joined(instructions)), *others]


def _joined(texts: Iterable[str | None]) -> str:
    return _BETWEEN.join(text for text in texts if text)
