"""From what was asked to the canonical grammar that an index follows from."""

from dataclasses import dataclass
from enum import Enum, auto

from formwork_engine import Budget, EngineError, GrammarInput, IndexOptions, JsonSchema

from compiler_service.canonical import CanonicalGrammar, canonicalise
from compiler_service.dialect import check_strict
from compiler_service.refusals import as_refusal
from compiler_service.schema_text import parse_schema
from mesh.ids import Fingerprint


class Dialect(Enum):
    """Which schemas are accepted."""

    STRICT = auto()
    """OpenAI's structured-output dialect."""
    EXTENDED = auto()
    """Everything that the engine can enforce."""


@dataclass(frozen=True)
class AskedGrammar:
    """What a caller asked for, as it came."""

    grammar: GrammarInput
    options: IndexOptions
    dialect: Dialect
    fingerprint: Fingerprint


def read_grammar(asked: AskedGrammar, budget: Budget) -> CanonicalGrammar:
    """Return the canonical grammar: for a schema after the cheap checks of text and dialect.

    Raises:
        SchemaRefusedError: Not a schema, outside the dialect, or too large.
    """
    grammar = asked.grammar
    if isinstance(grammar, JsonSchema):
        grammar = JsonSchema(_canonical_schema(grammar, asked.dialect, budget))
    return CanonicalGrammar(grammar, asked.options, budget, asked.fingerprint)


def _canonical_schema(grammar: JsonSchema, dialect: Dialect, budget: Budget) -> str:
    try:
        schema = parse_schema(grammar.text, budget)
    except EngineError as error:
        raise as_refusal(error, grammar) from error
    if dialect is Dialect.STRICT:
        check_strict(schema)
    return canonicalise(schema)
