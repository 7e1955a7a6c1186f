"""Definitions of Lark terminals for strings and keys."""

from collections.abc import Iterable
from typing import Final

from formwork_engine.schema.characters import quote, re_literal
from formwork_engine.schema.pattern_spelling import CHARACTER, spell_length, spell_pattern
from formwork_engine.schema.shapes import KeyClass, StringShape

ANY_STRING: Final = f'/"{CHARACTER}*"/'


def define_string(shape: StringShape) -> str:
    """Return the definition of the quoted strings of a shape."""
    if shape.literals is not None:
        return define_texts(shape.literals)
    parts = [f"/{spell_pattern(pattern)}/" for pattern in shape.patterns]
    if shape.min_length or shape.max_length is not None:
        parts.append(f"/{spell_length(shape.min_length, shape.max_length)}/")
    return " & ".join(parts) or ANY_STRING


def define_texts(texts: Iterable[str]) -> str:
    """Return the definition of just these strings, quoted."""
    return f"/{'|'.join(re_literal(quote(text)) for text in texts)}/"


def define_key(keys: KeyClass, taken: frozenset[str]) -> str:
    """Return the definition of the quoted keys of a class, those that are taken left out."""
    parts = [f"/{spell_pattern(pattern)}/" for pattern in keys.found]
    if keys.names is not None:
        # `&` binds tighter than `|`, and groups are not needed: there is one shape at most.
        parts += [define_string(shape) for shape in keys.names]
    parts = parts or [ANY_STRING]
    parts += [f"~/{spell_pattern(pattern)}/" for pattern in keys.absent]
    excluded = sorted(taken)
    if excluded:
        parts.append(f"~{define_texts(excluded)}")
    return " & ".join(parts)


def may_be_empty(shape: StringShape) -> bool:
    """Return whether the constraints of a shape may contradict each other."""
    bounds = shape.min_length > 0 or shape.max_length is not None
    return len(shape.patterns) + bounds > 1
