"""Reads `tools`, `tool_choice` and `parallel_tool_calls`."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from gateway.errors import RequestError
from gateway.fields import (
    check_schema_size,
    read_array,
    read_boolean,
    read_choice,
    read_members,
    read_name,
    read_string,
    refuse_type,
    require,
)
from gateway.grammars import Grammar, Subject, Syntax
from gateway.json_body import Source, text_at
from gateway.schema_outline import outline
from gateway.tool_memory import ToolMemory

MAX_TOOLS = 128
MAX_CALLS = 128
"""In one answer."""
_REF_ALONE = re.compile(r"draft-0[3-7]")
"""Dialects in which what stands beside a `$ref` counts for nothing."""
_EMPTY_OBJECT = '{"type":"object","properties":{},"additionalProperties":false}'
_MAX_DESCRIPTION = 16 * 1024


class ToolKind(StrEnum):
    """The two kinds of tools."""

    FUNCTION = "function"
    """Its input is a JSON object."""
    CUSTOM = "custom"
    """Its input is text."""


_MEMBERS = {
    ToolKind.FUNCTION: ("name", "description", "parameters", "strict"),
    ToolKind.CUSTOM: ("name", "description", "format"),
}
_MEMBERS_OF_ALLOWED = ("mode", "tools")


@dataclass(frozen=True)
class Parameters:
    """What the arguments of a function must be, as it was read."""

    schema: Mapping[str, Any]

    @cached_property
    def outline(self) -> str:
        """A sketch for the prompt, drawn once."""
        return outline(self.schema)


@dataclass(frozen=True)
class Tool:
    """One tool on offer. `grammar` is None where the input is any text."""

    kind: ToolKind
    name: str
    description: str
    grammar: Grammar | None
    subject: Subject
    parameters: Parameters = Parameters({})
    """Of a function."""
    strict: bool = False


class ToolMode(StrEnum):
    """Whether tools may or must be called."""

    NONE = "none"
    AUTO = "auto"
    REQUIRED = "required"


@dataclass(frozen=True)
class ToolUse:
    """The tools of a request, and which of them may be called.

    `tools` are all that the model is shown, `callable` those that it may call.
    """

    tools: tuple[Tool, ...] = ()
    callable: tuple[Tool, ...] = ()
    mode: ToolMode = ToolMode.NONE
    max_calls: int = MAX_CALLS


def read_tool_use(
    members: Mapping[str, Any], source: Source, max_schema_bytes: int, memory: ToolMemory
) -> ToolUse:
    """Return what a request says about tools.

    Args:
        members: Of the body.
        source: The body, from which the text of each schema is taken.
        max_schema_bytes: Bound of each, always the same for one memory.
        memory: Of tools that were read before.

    Raises:
        RequestError: Malformed, by path.
    """
    if "tools" not in members:
        _refuse_without_tools(members)
        return ToolUse()
    tools = _read_tools(members["tools"], source, max_schema_bytes, memory)
    parallel = read_boolean(members.get("parallel_tool_calls", True), "parallel_tool_calls")
    most = MAX_CALLS if parallel else 1
    return _read_choice(members.get("tool_choice", "auto"), tools, most)


def _refuse_without_tools(members: Mapping[str, Any]) -> None:
    for name in ("tool_choice", "parallel_tool_calls"):
        if name in members and (name, members[name]) != ("tool_choice", "none"):
            raise RequestError(
                f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified.",
                name,
                "invalid_value",
            )


# -- tools ----------------------------------------------------------------------------------------


def _read_tools(
    value: object, source: Source, max_schema_bytes: int, memory: ToolMemory
) -> tuple[Tool, ...]:
    items = read_array(value, "tools", 1, MAX_TOOLS)

    def read(number: int, text: str) -> Tool:
        path = f"tools[{number}]"
        return memory.get(
            text, path, lambda: _read_tool(items[number], path, text, max_schema_bytes)
        )

    tools = tuple(read(number, text) for number, text in enumerate(source.items_of("tools")))
    _check_names(tools)
    _check_total(tools, max_schema_bytes)
    return tools


def _read_tool(value: object, path: str, text: str, max_schema_bytes: int) -> Tool:
    if not isinstance(value, dict):
        refuse_type(value, path, "an object")
    kind = ToolKind(read_choice(require(value, "type", path), f"{path}.type", list(ToolKind)))
    members = read_members(value, path, ("type", kind), (kind, _MEMBERS[kind]))
    inner = require(members, kind, path)
    if kind is ToolKind.FUNCTION:
        return _read_function(inner, f"{path}.function", text, max_schema_bytes)
    return _read_custom(inner, f"{path}.custom", max_schema_bytes)


def _read_function(value: object, path: str, text: str, max_schema_bytes: int) -> Tool:
    members = read_members(value, path, _MEMBERS[ToolKind.FUNCTION])
    name = read_name(require(members, "name", path), f"{path}.name")
    where = f"{path}.parameters"
    schema_text, schema = _EMPTY_OBJECT, {"type": "object", "properties": {}}
    if "parameters" in members:
        schema = members["parameters"]
        schema_text = _parameters_text(schema, where, text, name)
        check_schema_size(schema_text, where, max_schema_bytes)
    return Tool(
        ToolKind.FUNCTION,
        name,
        _read_description(members, path),
        Grammar(Syntax.JSON_SCHEMA, schema_text),
        Subject(f"schema for function '{name}'", where, "FUNCTION_SCHEMA_INVALID"),
        Parameters(schema),
        read_boolean(members.get("strict", False), f"{path}.strict"),
    )


def _parameters_text(schema: object, path: str, text: str, name: str) -> str:
    """Return the text of a function's schema, which is that of an object."""
    if not isinstance(schema, dict):
        refuse_type(schema, path, "an object")
    if not schema:
        return _EMPTY_OBJECT
    if "$ref" in schema and _REF_ALONE.search(str(schema.get("$schema"))):
        raise RequestError(
            f"Invalid schema for function '{name}': in the dialect that '$schema' names, a '$ref' "
            "takes the place of 'type': \"object\" beside it; put it into an 'allOf'.",
            path,
            "invalid_function_parameters",
        )
    if schema.get("type") != "object":
        got = str(schema.get("type"))[:64]
        raise RequestError(
            f"Invalid schema for function '{name}': schema must be a JSON Schema of 'type: "
            f'"object"\', got \'type: "{got}"\'.',
            path,
            "invalid_function_parameters",
        )
    return text_at(text, ("function", "parameters"))


def _read_custom(value: object, path: str, max_characters: int) -> Tool:
    members = read_members(value, path, _MEMBERS[ToolKind.CUSTOM])
    name = read_name(require(members, "name", path), f"{path}.name")
    grammar = _read_format(members.get("format"), f"{path}.format", max_characters)
    subject = Subject(f"grammar for custom tool '{name}'", f"{path}.format", "GRAMMAR_INVALID")
    return Tool(ToolKind.CUSTOM, name, _read_description(members, path), grammar, subject)


def _read_format(value: object, path: str, max_characters: int) -> Grammar | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        refuse_type(value, path, "an object")
    kind = read_choice(require(value, "type", path), f"{path}.type", ("text", "grammar"))
    if kind == "text":
        read_members(value, path, ("type",))
        return None
    of_grammar = ("syntax", "definition")
    members = read_members(value, path, ("type", "grammar"), ("grammar", of_grammar))
    where = f"{path}.grammar"
    grammar = read_members(require(members, "grammar", path), where, of_grammar)
    syntax = read_choice(require(grammar, "syntax", where), f"{where}.syntax", ("lark", "regex"))
    definition = read_string(
        require(grammar, "definition", where), f"{where}.definition", maximum=max_characters
    )
    return Grammar(Syntax(syntax), definition)


def _read_description(members: Mapping[str, Any], path: str) -> str:
    where = f"{path}.description"
    return read_string(members.get("description", ""), where, maximum=_MAX_DESCRIPTION)


def _check_names(tools: Iterable[Tool]) -> None:
    seen: set[str] = set()
    for number, tool in enumerate(tools):
        if tool.name in seen:
            path = f"tools[{number}].{tool.kind}.name"
            raise RequestError(
                f"Invalid '{path}': another tool is called '{tool.name}' too.",
                path,
                "invalid_value",
            )
        seen.add(tool.name)


def _check_total(tools: Iterable[Tool], maximum: int) -> None:
    """Refuse grammars that are too large together: a worker is told all of them at once."""
    size = sum(tool.grammar.size for tool in tools if tool.grammar)
    if size > maximum:
        raise RequestError(
            "Invalid 'tools': their schemas and grammars are too large together. Expected at most "
            f"{maximum} bytes, but got {size} bytes instead.",
            "tools",
            "schema_too_large",
        )


# -- choices --------------------------------------------------------------------------------------


def _read_choice(value: object, tools: tuple[Tool, ...], most: int) -> ToolUse:
    path = "tool_choice"
    if isinstance(value, str):
        mode = ToolMode(read_choice(value, path, list(ToolMode)))
        return ToolUse(tools, () if mode is ToolMode.NONE else tools, mode, most)
    if not isinstance(value, dict):
        refuse_type(value, path, "one of a string or an object")
    kinds = (*ToolKind, "allowed_tools")
    kind = read_choice(require(value, "type", path), f"{path}.type", kinds)
    of_kind = _MEMBERS_OF_ALLOWED if kind == "allowed_tools" else ("name",)
    members = read_members(value, path, ("type", kind), (kind, of_kind))
    inner = require(members, kind, path)
    if kind == "allowed_tools":
        return _read_allowed(inner, tools, most)
    return ToolUse(tools, (_read_named(value, path, tools),), ToolMode.REQUIRED, 1)


def _read_allowed(value: object, tools: tuple[Tool, ...], most: int) -> ToolUse:
    path = "tool_choice.allowed_tools"
    members = read_members(value, path, _MEMBERS_OF_ALLOWED)
    mode = read_choice(require(members, "mode", path), f"{path}.mode", ("auto", "required"))
    items = read_array(require(members, "tools", path), f"{path}.tools", 1, MAX_TOOLS)
    named = [_read_named(item, f"{path}.tools[{n}]", tools) for n, item in enumerate(items)]
    allowed = {tool.name for tool in named}
    return ToolUse(tools, tuple(t for t in tools if t.name in allowed), ToolMode(mode), most)


def _read_named(value: object, path: str, tools: tuple[Tool, ...]) -> Tool:
    """Return the tool that `{"type": kind, kind: {"name": ...}}` names."""
    if not isinstance(value, dict):
        refuse_type(value, path, "an object")
    kind = read_choice(require(value, "type", path), f"{path}.type", list(ToolKind))
    members = read_members(value, path, ("type", kind), (kind, ("name",)))
    where = f"{path}.{kind}"
    inner = read_members(require(members, kind, path), where, ("name",))
    name = read_string(require(inner, "name", where), f"{where}.name", maximum=64)
    for tool in tools:
        if tool.name == name and tool.kind == kind:
            return tool
    raise RequestError(
        f"Invalid value for '{path}': no {kind} named '{name}' was specified in the 'tools' "
        "parameter.",
        path,
        "invalid_value",
    )
