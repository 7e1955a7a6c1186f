"""Whether no value can have two shapes: what makes a `oneOf` enforceable."""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Final

from formwork_engine.schema.shapes import (
    ArrayShape,
    BooleanShape,
    Link,
    Lowered,
    NumberShape,
    ObjectShape,
    PositionId,
    Shape,
    StringShape,
)
from formwork_engine.schema.terminals import define_string

IsEmpty = Callable[[str], bool]
"""Tells whether a terminal of that definition matches nothing."""

_MAX_DEPTH: Final = 12
_MAX_PAIRS: Final = 100_000


class Disjointness:
    """Proves that shapes are disjoint; what it cannot prove counts as overlapping.

    Args:
        lowered: Where positions are looked up.
        is_empty: Tells whether a terminal matches nothing.
    """

    def __init__(self, lowered: Lowered, is_empty: IsEmpty) -> None:
        self._positions = lowered.positions
        self._is_empty = is_empty
        self._pairs_left = _MAX_PAIRS

    def holds_between(self, options: Sequence[Sequence[Shape]]) -> bool:
        """Return whether no value fits two of the options."""
        return all(self._apart(one, other, 0) for one, other in combinations(options, 2))

    def _apart(self, one: Sequence[Shape], other: Sequence[Shape], depth: int) -> bool:
        if depth > _MAX_DEPTH:
            return False
        others = list(self._followed(other, frozenset()))
        return all(
            self._disjoint(left, right, depth)
            for left in self._followed(one, frozenset())
            for right in others
        )

    def _followed(self, shapes: Sequence[Shape], seen: frozenset[PositionId]) -> Iterator[Shape]:
        for shape in shapes:
            if not isinstance(shape, Link):
                yield shape
            elif shape.position not in seen:
                target = self._positions[shape.position]
                yield from self._followed(target, seen | {shape.position})

    def _at(self, one: PositionId, other: PositionId, depth: int) -> bool:
        return self._apart(self._positions[one], self._positions[other], depth + 1)

    def _disjoint(self, one: Shape, other: Shape, depth: int) -> bool:  # noqa: PLR0911 - by kind
        self._pairs_left -= 1
        if self._pairs_left < 0:
            return False
        match one, other:
            case BooleanShape(), BooleanShape():
                return one.values.isdisjoint(other.values)
            case NumberShape(), NumberShape():
                return _numbers_apart(one, other)
            case StringShape(), StringShape():
                return self._strings_apart(one, other)
            case ArrayShape(), ArrayShape():
                return self._arrays_apart(one, other, depth)
            case ObjectShape(), ObjectShape():
                return self._needs_what_clashes(one, other, depth) or self._needs_what_clashes(
                    other, one, depth
                )
        return type(one) is not type(other)

    def _strings_apart(self, one: StringShape, other: StringShape) -> bool:
        for own, against in ((one, other), (other, one)):
            if own.literals is not None:
                return not any(against.admits(text) for text in own.literals)
        return self._is_empty(f"{define_string(one)} & {define_string(other)}")

    def _arrays_apart(self, one: ArrayShape, other: ArrayShape, depth: int) -> bool:
        for own, against in ((one, other), (other, one)):
            if against.max_items is not None and own.min_items > against.max_items:
                return True
        common = min(max(one.min_items, other.min_items), _MAX_DEPTH)
        return any(
            left is None or right is None or self._at(left, right, depth)
            for left, right in ((_element(one, n), _element(other, n)) for n in range(common))
        )

    def _needs_what_clashes(self, one: ObjectShape, other: ObjectShape, depth: int) -> bool:
        """Return whether a property that `one` requires cannot be in `other` with its value."""
        for own in one.properties:
            if own.is_required:
                theirs = other.find(own.name)
                if theirs is None or self._at(own.position, theirs, depth):
                    return True
        return False


def _element(shape: ArrayShape, place: int) -> PositionId | None:
    return shape.prefix[place] if place < len(shape.prefix) else shape.rest


def _numbers_apart(one: NumberShape, other: NumberShape) -> bool:
    for own, against in ((one, other), (other, one)):
        if own.literals is not None:
            return not any(against.admits(value) for value in own.literals)
    return _is_below(one, other) or _is_below(other, one)


def _is_below(one: NumberShape, other: NumberShape) -> bool:
    if one.upper is None or other.lower is None:
        return False
    excluded = one.excludes_upper or other.excludes_lower
    return one.upper < other.lower or (one.upper == other.lower and excluded)
