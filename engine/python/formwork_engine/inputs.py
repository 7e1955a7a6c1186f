"""What an index is made of: a grammar, options and a budget."""

from dataclasses import dataclass
from enum import StrEnum


class Whitespace(StrEnum):
    """Where an answer may have whitespace."""

    COMPACT = "compact"
    """Nowhere, apart from the separators."""
    BOUNDED = "bounded"
    """Between tokens of JSON, at most `max_whitespace` characters at a place."""


class PropertyOrder(StrEnum):
    """In which order the properties of an object stand."""

    SCHEMA = "schema"
    ANY = "any"


class Spellings(StrEnum):
    """How many spellings one value has."""

    ONE = "one"
    ALL = "all"


@dataclass(frozen=True)
class IndexOptions:
    """What the answer's text looks like, and how a schema is read."""

    whitespace: Whitespace = Whitespace.COMPACT
    max_whitespace: int = 0
    """Characters; read with `Whitespace.BOUNDED` only."""
    property_order: PropertyOrder = PropertyOrder.SCHEMA
    spellings: Spellings = Spellings.ONE
    item_separator: str = ","
    """A comma and spaces; read with `Whitespace.COMPACT` only."""
    key_separator: str = ":"
    """A colon and spaces; read with `Whitespace.COMPACT` only."""
    format_assertion: bool = True
    """`format` is enforced; without it, it says nothing."""
    in_json_string: bool = False
    """A text of a regular expression or grammar is spelled as in a JSON string, without its quotes;
    each has one spelling."""
    remotes: tuple[tuple[str, str], ...] = ()
    """What remote references mean: URIs, each with its schema as JSON text."""


@dataclass(frozen=True)
class Budget:
    """What an index may cost; each is a `TooLargeError` by its name when passed."""

    max_bytes: int = 1024 * 1024
    """Of the schema, expression or grammar, as UTF-8."""
    max_depth: int = 256
    """Nesting of the schema's text."""
    max_nodes: int = 1_000_000
    """JSON values in the schema's text."""
    compile_fuel: int = 500_000
    """Steps of a compile, from the translation of its schema on; some take a part of one."""
    mask_fuel: int = 1_000_000
    """The same for one mask; a cursor that needs more fails."""


@dataclass(frozen=True)
class JsonSchema:
    """A JSON Schema, as JSON text (property order significant)."""

    text: str


@dataclass(frozen=True)
class AnyJson:
    """Any JSON value."""

    object_only: bool = False
    """The value at the root is an object."""


@dataclass(frozen=True)
class Regex:
    """A regular expression that matches the whole answer."""

    pattern: str


@dataclass(frozen=True)
class Lark:
    """A context-free grammar in the Lark dialect of OpenAI's custom tools."""

    definition: str


GrammarInput = JsonSchema | AnyJson | Regex | Lark
