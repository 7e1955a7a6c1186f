"""From a grammar input to the text that the library behind the engine compiles."""

import re

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
    Whitespace,
)

MAX_WHITESPACE = 64
_WHITESPACE_CHARACTERS = r"[\x20\x0A\x0D\x09]"
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
            _check_size(text, budget)
            return _schema_grammar(text, options)
        case AnyJson(object_only):
            return _schema_grammar('{"type":"object"}' if object_only else "{}", options)
        case Regex(pattern):
            _check_size(pattern, budget)
            return _llguidance.grammar_of_regex(pattern)
        case Lark(definition):
            _check_size(definition, budget)
            return _llguidance.grammar_of_lark(definition)


def _schema_grammar(schema: str, options: IndexOptions) -> str:
    bounded = options.whitespace is Whitespace.BOUNDED and options.max_whitespace > 0
    return _llguidance.grammar_of_schema(
        schema,
        item_separator=options.item_separator,
        key_separator=options.key_separator,
        whitespace_pattern=(
            f"{_WHITESPACE_CHARACTERS}{{1,{options.max_whitespace}}}" if bounded else None
        ),
    )


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


def _check_size(text: str, budget: Budget) -> None:
    size = len(text.encode(errors="replace"))
    if size > budget.max_bytes:
        raise TooLargeError("max_bytes", budget.max_bytes, size)
