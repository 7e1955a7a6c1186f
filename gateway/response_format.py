"""Reads `response_format`: free text, any JSON object, or a schema as the client wrote it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from gateway.answer_shape import Part
from gateway.errors import RequestError
from gateway.fields import (
    check_schema_size,
    read_boolean,
    read_choice,
    read_members,
    read_name,
    read_string,
    refuse_type,
    require,
)
from gateway.grammars import Grammar, Subject, Syntax
from gateway.json_body import Source

_PATH = "response_format.json_schema"
_MEMBERS = ("name", "description", "schema", "strict")
_MAX_DESCRIPTION = 1024


class FormatKind(StrEnum):
    """The three formats of Chat Completions."""

    TEXT = "text"
    JSON_OBJECT = "json_object"
    JSON_SCHEMA = "json_schema"


@dataclass(frozen=True)
class ResponseFormat:
    """What the answer must look like.

    `schema_text` is the client's own text, whose order and spelling count; `schema` is its value.
    Where `schema_id` names a registered schema, the rest is still to be looked up.
    """

    kind: FormatKind = FormatKind.TEXT
    name: str = ""
    description: str | None = None
    schema_text: str = ""
    schema: Any = None
    strict: bool = False
    schema_id: str | None = None

    @property
    def is_structured(self) -> bool:
        """Whether an index constrains the answer."""
        return self.kind is not FormatKind.TEXT

    @cached_property
    def part(self) -> Part | None:
        """What the content of an answer must look like; None: any text."""
        return Part(self.grammar, self.strict) if self.is_structured else None

    @property
    def schema_of_any(self) -> object:
        """The schema of the content, of any format."""
        return self.schema if self.kind is FormatKind.JSON_SCHEMA else True

    @property
    def grammar(self) -> Grammar:
        """What the compiler is asked for; of a structured format."""
        return Grammar(Syntax(self.kind), self.schema_text)

    @property
    def subject(self) -> Subject:
        """What the schema is called in errors."""
        name = f"schema for response_format '{self.name}'"
        return Subject(name, "response_format", "JSON_SCHEMA_INVALID")


def read_response_format(value: object, source: Source, max_schema_bytes: int) -> ResponseFormat:
    """Return the response format of a request.

    Args:
        value: The parameter.
        source: The whole body, from which the schema's own text is taken.
        max_schema_bytes: Bound of that text.

    Raises:
        RequestError: Malformed.
    """
    if not isinstance(value, dict):
        refuse_type(value, "response_format", "an object")
    kind = FormatKind(
        read_choice(
            require(value, "type", "response_format"), "response_format.type", list(FormatKind)
        )
    )
    if kind is not FormatKind.JSON_SCHEMA:
        read_members(value, "response_format", ("type",))
        return ResponseFormat(kind)
    inner = ("json_schema", (*_MEMBERS, "schema_id"))
    members = read_members(value, "response_format", ("type", "json_schema"), inner)
    json_schema = require(members, "json_schema", "response_format")
    if not isinstance(json_schema, dict):
        refuse_type(json_schema, _PATH, "an object")
    if json_schema.get("schema_id") is not None:
        return _read_reference(json_schema)
    schema_text = read_schema_text(
        json_schema, source, ("response_format", "json_schema"), max_schema_bytes
    )
    return _read_json_schema(json_schema, schema_text)


def read_schema_text(
    holder: dict[str, Any], source: Source, path: Sequence[str], maximum: int
) -> str:
    """Return the text of the member `schema`, an object.

    Args:
        holder: Has the member.
        source: The whole body.
        path: To the holder.
        maximum: Bytes of the schema's text.

    Raises:
        RequestError: It is missing, no object or too large.
    """
    where = ".".join([*path, "schema"])
    schema = require(holder, "schema", ".".join(path))
    if not isinstance(schema, dict):
        refuse_type(schema, where, "an object")
    schema_text = source.text_at([*path, "schema"])
    check_schema_size(schema_text, where, maximum)
    return schema_text


def read_description(members: dict[str, Any], path: str) -> str | None:
    """Return the description of a schema, where there is one."""
    description = members.get("description")
    return None if description is None else read_string(description, path, maximum=_MAX_DESCRIPTION)


def _read_json_schema(value: dict[str, Any], schema_text: str) -> ResponseFormat:
    members = read_members(value, _PATH, _MEMBERS)
    return ResponseFormat(
        FormatKind.JSON_SCHEMA,
        read_name(require(members, "name", _PATH), f"{_PATH}.name"),
        read_description(members, f"{_PATH}.description"),
        schema_text,
        members["schema"],
        read_boolean(members.get("strict", False), f"{_PATH}.strict"),
    )


def _read_reference(value: dict[str, Any]) -> ResponseFormat:
    known = ("schema_id", "name", "description", "schema", "strict")
    members = read_members(value, _PATH, known)
    for key in members:
        if key != "schema_id":
            raise RequestError(
                f"Setting 'schema_id' and '{key}' at the same time is not supported: a registered "
                "schema has its own.",
                f"{_PATH}.{key}",
                "invalid_parameter_combination",
            )
    schema_id = read_string(members["schema_id"], f"{_PATH}.schema_id", maximum=64)
    return ResponseFormat(FormatKind.JSON_SCHEMA, schema_id=schema_id)
