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
    """What the answer's text looks like."""

    whitespace: Whitespace = Whitespace.COMPACT
    max_whitespace: int = 0
    """Characters; read with `Whitespace.BOUNDED` only."""
    property_order: PropertyOrder = PropertyOrder.SCHEMA
    spellings: Spellings = Spellings.ONE
    item_separator: str = ","
    key_separator: str = ":"


@dataclass(frozen=True)
class Budget:
    """What one compile may cost; each is a `TooLargeError` by its name when passed."""

    max_bytes: int = 1024 * 1024
    """Of the schema, expression or grammar, as UTF-8."""
    max_depth: int = 64
    """Nesting of the schema's text."""
    max_nodes: int = 50_000
    """JSON values in the schema's text."""
    max_positions: int = 20_000
    """Places inside a value, of all references and branches together."""
    max_alternatives: int = 1_000
    """Ways to choose among `anyOf` and `oneOf` at one place."""
    max_lexer_fuel: int = 3_000_000
    """Work on regular expressions before the first mask, and expressions kept afterwards."""
    max_grammar_size: int = 500_000
    """Symbols in the compiled productions."""
    max_step_fuel: int = 200_000
    """Work on regular expressions for one mask."""
    max_step_items: int = 50_000
    """Parser items for one mask."""
    max_row_items: int = 12_000
    """Parser items at one place of the text."""
    max_states: int = 50_000
    """Lexer states of all cursors of one index together; 1-2 kB each."""


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
    """A regular expression in Rust's syntax without look-around; matches the whole answer."""

    pattern: str


@dataclass(frozen=True)
class Lark:
    """A context-free grammar in the Lark dialect of OpenAI's custom tools."""

    definition: str


GrammarInput = JsonSchema | AnyJson | Regex | Lark
