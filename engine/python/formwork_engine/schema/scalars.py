"""Numbers and strings: all keywords of all schemas at a position, taken together."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from math import lcm
from typing import Any

from formwork_engine.errors import MalformedError, UnsupportedError
from formwork_engine.schema.formats import REFUSED_FORMATS, find_format
from formwork_engine.schema.instances import exact
from formwork_engine.schema.numbers import BoundError, spell_number
from formwork_engine.schema.pattern_spelling import spell_pattern
from formwork_engine.schema.patterns import Pattern, PatternError, read_pattern
from formwork_engine.schema.references import Node
from formwork_engine.schema.shapes import NumberShape, StringShape

_DRAFT_OF_NUMERIC_EXCLUSIVE = 6
_MAX_LENGTH = 10_000_000
_MAX_MULTIPLE = 10_000
_MAX_PATTERNS = 6
"""Of one string: the work of telling whether they contradict each other multiplies."""


def number_shape(owners: Sequence[Node], draft: int, values: list[Any] | None) -> NumberShape:
    """Return the numbers that fit every schema; of `values` only, where they are given.

    Raises:
        UnsupportedError: A bound that cannot be enforced.
    """
    lower, excludes_lower = _bound(owners, "minimum", "exclusiveMinimum", draft, max)
    upper, excludes_upper = _bound(owners, "maximum", "exclusiveMaximum", draft, min)
    is_integer = any(_is_integer_only(owner) for owner in owners)
    multiple = _multiple(owners, is_integer=is_integer)
    shape = NumberShape(
        lower=lower,
        excludes_lower=excludes_lower,
        upper=upper,
        excludes_upper=excludes_upper,
        is_integer=is_integer or (multiple is not None and multiple.denominator == 1),
        multiple_of=multiple,
    )
    if values is not None:
        literals = tuple(filter(shape.admits, map(exact, values)))
        return NumberShape(literals=literals)
    if multiple is not None and multiple.numerator > _MAX_MULTIPLE:
        reason = f"is enforced up to a numerator of {_MAX_MULTIPLE} only"
        raise UnsupportedError(owners[0].pointer, "multipleOf", reason)
    _check_bounds(owners[0], shape)
    return shape


def _is_integer_only(owner: Node) -> bool:
    types = owner.schema.get("type", "number")
    return types == "integer" or (isinstance(types, list) and "number" not in types)


def _bound(
    owners: Sequence[Node],
    inclusive: str,
    exclusive: str,
    draft: int,
    tightest: Callable[..., Fraction],
) -> tuple[Fraction | None, bool]:
    """Return the tightest bound and whether it is excluded itself."""
    found = [
        bound
        for owner in owners
        for bound in _own_bounds(owner.schema, inclusive, exclusive, draft)
    ]
    if not found:
        return None, False
    limit = tightest(value for value, _ in found)
    return limit, (limit, True) in found


def _own_bounds(
    schema: dict[str, Any], inclusive: str, exclusive: str, draft: int
) -> Iterator[tuple[Fraction, bool]]:
    excluded = schema.get(exclusive)
    if draft < _DRAFT_OF_NUMERIC_EXCLUSIVE:
        if inclusive in schema:
            yield exact(schema[inclusive]), excluded is True
        return
    if inclusive in schema:
        yield exact(schema[inclusive]), False
    if excluded is not None:
        yield exact(excluded), True


def _multiple(owners: Sequence[Node], *, is_integer: bool) -> Fraction | None:
    steps = [exact(o.schema["multipleOf"]) for o in owners if "multipleOf" in o.schema]
    if not steps:
        return None
    if is_integer:
        steps.append(Fraction(1))
    common = lcm(*(step.denominator for step in steps))
    return Fraction(lcm(*(int(step * common) for step in steps)), common)


def _check_bounds(owner: Node, shape: NumberShape) -> None:
    try:
        spell_number(shape)
    except BoundError as error:
        raise UnsupportedError(owner.pointer, "minimum", str(error)) from error


def string_shape(owners: Sequence[Node], values: list[Any] | None) -> StringShape:
    """Return the strings that fit every schema; of `values` only, where they are given.

    Raises:
        UnsupportedError: A pattern or a format that cannot be enforced.
    """
    schemas = [owner.schema for owner in owners]
    patterns: dict[Pattern, None] = {}
    lengths = [int(schema["maxLength"]) for schema in schemas if "maxLength" in schema]
    for owner in owners:
        if "pattern" in owner.schema:
            patterns[enforceable_pattern(owner, "pattern", owner.schema["pattern"])] = None
        pattern, max_length = _format(owner)
        if pattern is not None:
            patterns[pattern] = None
        lengths += [] if max_length is None else [max_length]
    if len(patterns) > _MAX_PATTERNS:
        reason = f"stands beside more than {_MAX_PATTERNS - 1} other patterns"
        raise UnsupportedError(owners[0].pointer, "pattern", reason)
    shape = StringShape(
        min_length=max((int(schema.get("minLength", 0)) for schema in schemas), default=0),
        max_length=min(lengths, default=None),
        patterns=tuple(patterns),
    )
    if values is not None:
        return StringShape(literals=tuple(filter(shape.admits, values)))
    if max(shape.min_length, shape.max_length or 0) > _MAX_LENGTH:
        return _relaxed(owners[0], shape)
    return shape


def _relaxed(owner: Node, shape: StringShape) -> StringShape:
    """Drop a largest length that no answer reaches; refuse a least one."""
    if shape.min_length > _MAX_LENGTH:
        raise UnsupportedError(owner.pointer, "minLength", f"is more than {_MAX_LENGTH}")
    return StringShape(min_length=shape.min_length, patterns=shape.patterns, max_length=_MAX_LENGTH)


def enforceable_pattern(owner: Node, keyword: str, text: str) -> Pattern:
    """Return a pattern that can be both matched and written.

    Raises:
        UnsupportedError: It cannot be enforced.
        MalformedError: It is longer than any pattern may be.
    """
    try:
        pattern = read_pattern(text)
        spell_pattern(pattern)
    except PatternError as error:
        raise UnsupportedError(owner.pointer, keyword, str(error)) from error
    except RecursionError as error:
        raise MalformedError(
            "is nested too deeply", pointer=owner.pointer, keyword=keyword
        ) from error
    return pattern


def _format(owner: Node) -> tuple[Pattern | None, int | None]:
    name = owner.schema.get("format")
    if name is None:
        return None, None
    if name in REFUSED_FORMATS:
        raise UnsupportedError(owner.pointer, "format", f"'{name}' is not enforced")
    found = find_format(name)
    return (None, None) if found is None else (found.pattern, found.max_length)
