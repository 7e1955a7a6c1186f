"""From a grammar input to the text that the library behind the engine compiles."""

import re
from typing import Final

from formwork_engine import _llguidance
from formwork_engine.errors import TooLargeError, UnsupportedError
from formwork_engine.inputs import (
    AnyJson,
    Budget,
    GrammarInput,
    IndexOptions,
    JsonSchema,
    Lark,
    PropertyOrder,
    Regex,
    Spellings,
)
from formwork_engine.lark_dialect import check_lark
from formwork_engine.schema.lowering import Lowering
from formwork_engine.schema.pruning import prune
from formwork_engine.schema.references import Document
from formwork_engine.schema.text import check_size, parse_schema
from formwork_engine.schema.writer import Writer

MAX_WHITESPACE: Final = 64
_SEPARATOR = {
    "item_separator": re.compile(r"[ \t\r\n]{0,4},[ \t\r\n]{0,4}"),
    "key_separator": re.compile(r"[ \t\r\n]{0,4}:[ \t\r\n]{0,4}"),
}


def write_grammar(grammar: GrammarInput, options: IndexOptions, budget: Budget) -> str:
    """Return the library's grammar of an input.

    Raises:
        MalformedError, UnsupportedError, TooLargeError: As `compile_index` says.
    """
    _check_options(options)
    match grammar:
        case JsonSchema(text):
            return _schema_grammar(parse_schema(text, budget), options, budget)
        case AnyJson(object_only):
            return _schema_grammar({"type": "object"} if object_only else {}, options, budget)
        case Regex(pattern):
            check_size(pattern, budget)
            return _llguidance.grammar_of_regex(pattern)
        case Lark(definition):
            check_size(definition, budget)
            check_lark(definition)
            return _llguidance.grammar_of_lark(definition)


def _schema_grammar(schema: object, options: IndexOptions, budget: Budget) -> str:
    if isinstance(schema, bool):
        schema = {} if schema else {"not": {}}
    assert isinstance(schema, dict)  # noqa: S101 - parse_schema returns nothing else
    is_empty = _llguidance.is_empty_terminal
    lowered = prune(Lowering(Document(schema), budget, is_empty).lower(), is_empty)
    return _llguidance.grammar_of_lark(Writer(lowered, options).write())


def _check_options(options: IndexOptions) -> None:
    if options.property_order is not PropertyOrder.SCHEMA:
        raise UnsupportedError("", "property_order", "other than the schema's is not enforced yet")
    if options.spellings is not Spellings.ONE:
        raise UnsupportedError("", "spellings", "other than one per value are not enforced yet")
    if not 0 <= options.max_whitespace <= MAX_WHITESPACE:
        raise TooLargeError("max_whitespace", MAX_WHITESPACE, options.max_whitespace)
    for name, form in _SEPARATOR.items():
        if not form.fullmatch(getattr(options, name)):
            raise UnsupportedError("", name, "is not a separator of JSON")
