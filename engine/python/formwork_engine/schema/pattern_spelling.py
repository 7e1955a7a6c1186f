"""Patterns as regular expressions of the JSON strings that satisfy them.

JSON Schema looks for a pattern anywhere in the decoded string. Here it becomes an expression, in
Rust's syntax, that matches the whole JSON spelling of such a string, quotes included: anchors are
resolved, and each character stands for its one spelling.
"""

from dataclasses import dataclass
from typing import Final

from formwork_engine.schema.characters import ANY_CHARACTER, spell_set
from formwork_engine.schema.patterns import (
    EMPTY,
    Characters,
    Choice,
    End,
    Pattern,
    PatternError,
    Repeat,
    Sequence,
    Start,
)

CHARACTER: Final = spell_set(ANY_CHARACTER)
_ANYTHING: Final = f"{CHARACTER}*"
_MAX_VARIANTS: Final = 200


@dataclass(frozen=True)
class _Variant:
    """A pattern without anchors, and at which ends the anchors in it hold it."""

    at_start: bool
    at_end: bool
    body: Pattern


def spell_pattern(pattern: Pattern) -> str:
    """Return the expression of the quoted strings in which the pattern is found.

    Raises:
        PatternError: It has an anchor where it cannot be resolved, or can never match.
    """
    branches = [
        f"{'' if variant.at_start else _ANYTHING}{_spell(variant.body)}"
        f"{'' if variant.at_end else _ANYTHING}"
        for variant in _variants(pattern)
    ]
    if not branches:
        raise PatternError("can never match")
    return f'"(?:{"|".join(branches)})"'


def spell_length(minimum: int, maximum: int | None) -> str:
    """Return the expression of the quoted strings of so many code points."""
    return f'"{CHARACTER}{{{minimum},{"" if maximum is None else maximum}}}"'


def _spell(pattern: Pattern) -> str:
    match pattern:
        case Characters(members):
            return spell_set(members)
        case Sequence(parts):
            return "".join(map(_spell, parts))
        case Choice(options):
            return f"(?:{'|'.join(map(_spell, options))})"
        case Repeat(body, minimum, maximum):
            return f"(?:{_spell(body)}){_count(minimum, maximum)}"
    raise PatternError("has an anchor where it cannot be resolved")


def _count(minimum: int, maximum: int | None) -> str:
    marks = {(0, None): "*", (1, None): "+", (0, 1): "?"}
    return marks.get((minimum, maximum)) or f"{{{minimum},{'' if maximum is None else maximum}}}"


def _variants(pattern: Pattern) -> list[_Variant]:
    match pattern:
        case Start():
            return [_Variant(at_start=True, at_end=False, body=EMPTY)]
        case End():
            return [_Variant(at_start=False, at_end=True, body=EMPTY)]
        case Choice(options):
            return _merged([variant for option in options for variant in _variants(option)])
        case Sequence(parts):
            return _sequence_variants(parts)
        case Repeat(body, minimum, maximum) if _has_anchor(body):
            return _repeat_variants(body, minimum, maximum)
    return [_Variant(at_start=False, at_end=False, body=pattern)]


def _sequence_variants(parts: tuple[Pattern, ...]) -> list[_Variant]:
    found = [_Variant(at_start=False, at_end=False, body=EMPTY)]
    for part in parts:
        joined = [_joined(left, right) for left in found for right in _variants(part)]
        found = _merged([variant for variant in joined if variant is not None])
    return found


def _joined(left: _Variant, right: _Variant) -> _Variant | None:
    """Return one after the other: what follows an end, or precedes a start, must be empty."""
    first, second = left.body, right.body
    if left.at_end:
        if not is_nullable(second):
            return None
        second = EMPTY
    if right.at_start:
        if not is_nullable(first):
            return None
        first = EMPTY
    return _Variant(
        left.at_start or right.at_start, left.at_end or right.at_end, _concatenation(first, second)
    )


def _concatenation(first: Pattern, second: Pattern) -> Pattern:
    parts = [part for body in (first, second) for part in _parts(body)]
    return parts[0] if len(parts) == 1 else Sequence(tuple(parts))


def _parts(pattern: Pattern) -> tuple[Pattern, ...]:
    return pattern.parts if isinstance(pattern, Sequence) else (pattern,)


def _repeat_variants(body: Pattern, minimum: int, maximum: int | None) -> list[_Variant]:
    if maximum != 1:
        raise PatternError("repeats an anchor, which is not enforced")
    none = [] if minimum else [_Variant(at_start=False, at_end=False, body=EMPTY)]
    return _merged([*none, *_variants(body)])


def _merged(variants: list[_Variant]) -> list[_Variant]:
    """Join the variants of equal anchors, of which there are four kinds."""
    if len(variants) > _MAX_VARIANTS:
        raise PatternError("has too many anchors in alternatives")
    bodies: dict[tuple[bool, bool], list[Pattern]] = {}
    for variant in variants:
        bodies.setdefault((variant.at_start, variant.at_end), []).append(variant.body)
    return [
        _Variant(start, end, found[0] if len(found) == 1 else Choice(tuple(found)))
        for (start, end), found in bodies.items()
    ]


def _has_anchor(pattern: Pattern) -> bool:
    match pattern:
        case Start() | End():
            return True
        case Sequence(parts):
            return any(map(_has_anchor, parts))
        case Choice(options):
            return any(map(_has_anchor, options))
        case Repeat(body, _, _):
            return _has_anchor(body)
    return False


def is_nullable(pattern: Pattern) -> bool:
    """Return whether a pattern without anchors matches the empty string."""
    match pattern:
        case Sequence(parts):
            return all(map(is_nullable, parts))
        case Choice(options):
            return any(map(is_nullable, options))
        case Repeat(body, minimum, _):
            return minimum == 0 or is_nullable(body)
    return False
