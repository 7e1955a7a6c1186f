"""Reads `response_format`: free text, any JSON object, or a schema as the client wrote it."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gateway.errors import RequestError
from gateway.fields import (
    read_boolean,
    read_choice,
    read_members,
    read_string,
    refuse_type,
    require,
)
from gateway.json_body import text_at

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SCHEMA_PATH = ("response_format", "json_schema", "schema")
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
    """

    kind: FormatKind = FormatKind.TEXT
    name: str = ""
    description: str | None = None
    schema_text: str = ""
    schema: Any = None
    strict: bool = False

    @property
    def is_structured(self) -> bool:
        """Whether an index constrains the answer."""
        return self.kind is not FormatKind.TEXT


def read_response_format(value: object, text: str, max_schema_bytes: int) -> ResponseFormat:
    """Return the response format of a request.

    Args:
        value: The parameter.
        text: The whole body, from which the schema's own text is taken.
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
    members = read_members(value, "response_format", ("type", "json_schema"))
    schema_text = _schema_text(members, text, max_schema_bytes)
    return _read_json_schema(members["json_schema"], schema_text)


def _read_json_schema(value: object, schema_text: str) -> ResponseFormat:
    path = "response_format.json_schema"
    members = read_members(value, path, ("name", "description", "schema", "strict"))
    description = members.get("description")
    if description is not None:
        description = read_string(description, f"{path}.description", maximum=_MAX_DESCRIPTION)
    return ResponseFormat(
        FormatKind.JSON_SCHEMA,
        _read_name(require(members, "name", path), f"{path}.name"),
        description,
        schema_text,
        members["schema"],
        read_boolean(members.get("strict", False), f"{path}.strict"),
    )


def _read_name(value: object, path: str) -> str:
    name = read_string(value, path, maximum=64)
    if not _NAME.fullmatch(name):
        raise RequestError(
            f"Invalid '{path}': string does not match pattern. Expected a string that matches the "
            "pattern '^[a-zA-Z0-9_-]+$'.",
            path,
            "invalid_value",
        )
    return name


def _schema_text(members: dict[str, Any], text: str, maximum: int) -> str:
    path = "response_format.json_schema"
    json_schema = require(members, "json_schema", "response_format")
    if not isinstance(json_schema, dict):
        refuse_type(json_schema, path, "an object")
    schema = require(json_schema, "schema", path)
    if not isinstance(schema, dict):
        refuse_type(schema, f"{path}.schema", "an object")
    schema_text = text_at(text, _SCHEMA_PATH)
    size = len(schema_text.encode())
    if size > maximum:
        raise RequestError(
            f"Invalid '{path}.schema': too large. Expected at most {maximum} bytes, but got {size} "
            "bytes instead.",
            f"{path}.schema",
            "schema_too_large",
        )
    return schema_text
