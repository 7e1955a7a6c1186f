"""What a text must look like, as the compiler is asked for it, and what it is called in errors."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from hashlib import sha256


class Syntax(StrEnum):
    """How a grammar is written."""

    JSON_OBJECT = "json_object"
    """Any JSON object; the grammar has no text."""
    JSON_SCHEMA = "json_schema"
    REGEX = "regex"
    LARK = "lark"


@dataclass(frozen=True)
class SchemaText:
    """The text of a JSON Schema, as validators are made from it."""

    text: bytes

    @cached_property
    def key(self) -> bytes:
        """The hash that it is known by, worked out once."""
        return sha256(self.text).digest()


@dataclass(frozen=True)
class Grammar:
    """A grammar as the client wrote it: the order and spelling of a schema's text count."""

    syntax: Syntax
    text: str = ""
    in_json_string: bool = False
    """Its texts are spelled as in a JSON string, without the quotes."""

    @cached_property
    def key(self) -> bytes:
        """The hash of all of it, worked out once."""
        facts = f"{self.syntax}\0{self.in_json_string}\0{self.text}"
        return sha256(facts.encode()).digest()

    @cached_property
    def size(self) -> int:
        """Bytes of its text."""
        return len(self.text.encode())

    @cached_property
    def schema(self) -> SchemaText | None:
        """The JSON Schema that a text of it fits; None where it is no JSON."""
        if self.syntax is Syntax.JSON_OBJECT:
            return _ANY_OBJECT
        return SchemaText(self.text.encode()) if self.syntax is Syntax.JSON_SCHEMA else None


_ANY_OBJECT = SchemaText(b'{"type":"object"}')


@dataclass(frozen=True)
class Subject:
    """What a grammar is of, as errors name it."""

    name: str
    """For example `schema for response_format 'person'`."""
    param: str
    reason: str
    """Of the error: one that `gateway.error_table` has a code for."""
