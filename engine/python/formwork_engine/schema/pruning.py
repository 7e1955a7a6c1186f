"""Leaving out what no finite value fits, so that no way into a grammar is a dead end."""

import dataclasses
from collections.abc import Callable

from formwork_engine.errors import UnsupportedError
from formwork_engine.schema.disjointness import IsEmpty
from formwork_engine.schema.numbers import is_empty as is_empty_number
from formwork_engine.schema.numbers import spell_number
from formwork_engine.schema.shapes import (
    ArrayShape,
    BooleanShape,
    KeyClass,
    Link,
    Lowered,
    NumberShape,
    ObjectShape,
    PositionId,
    Shape,
    StringShape,
)
from formwork_engine.schema.terminals import define_key, define_string, may_be_empty

_HasValue = Callable[[PositionId], bool]


def prune(lowered: Lowered, is_empty: IsEmpty) -> Lowered:
    """Return the positions with every shape gone that no finite value has.

    Raises:
        UnsupportedError: Nothing fits the root.
    """
    positions = [
        tuple(found for shape in shapes if (found := _settled(shape, is_empty)) is not None)
        for shapes in lowered.positions
    ]
    inhabited = _inhabited(positions)
    if lowered.root not in inhabited:
        _refuse_root(lowered.root, positions)
    pruned = [
        tuple(_narrowed(shape, inhabited) for shape in shapes if _has_value(shape, inhabited))
        for shapes in positions
    ]
    return Lowered(lowered.root, pruned)


def _settled(shape: Shape, is_empty: IsEmpty) -> Shape | None:
    """Return a shape without what is empty in itself; None where it is all empty."""
    match shape:
        case BooleanShape():
            return shape if shape.values else None
        case NumberShape():
            return None if _is_empty_number(shape, is_empty) else shape
        case StringShape():
            return None if _is_empty_string(shape, is_empty) else shape
        case ArrayShape(max_items=maximum) if maximum is not None and shape.min_items > maximum:
            return None
        case ObjectShape():
            others = [keys for keys in shape.others if not _is_empty_class(keys, shape, is_empty)]
            return dataclasses.replace(shape, others=tuple(others))
    return shape


def _is_empty_number(shape: NumberShape, is_empty: IsEmpty) -> bool:
    if is_empty_number(shape):
        return True
    is_range = shape.lower is not None and shape.upper is not None and not shape.is_integer
    return is_range and shape.multiple_of is None and is_empty(spell_number(shape))


def _is_empty_string(shape: StringShape, is_empty: IsEmpty) -> bool:
    if shape.literals is not None:
        return not shape.literals
    if shape.max_length is not None and shape.min_length > shape.max_length:
        return True
    return may_be_empty(shape) and is_empty(define_string(shape))


def _is_empty_class(keys: KeyClass, shape: ObjectShape, is_empty: IsEmpty) -> bool:
    if keys.names is not None and any(_is_empty_string(own, is_empty) for own in keys.names):
        return True
    if not keys.found and not keys.absent and keys.names is None:
        return False
    return is_empty(define_key(keys, shape.taken))


def _inhabited(positions: list[tuple[Shape, ...]]) -> frozenset[PositionId]:
    """Return the positions that a finite value fits: the least fixed point."""
    found: frozenset[PositionId] = frozenset()
    while True:
        more = frozenset(
            PositionId(number)
            for number, shapes in enumerate(positions)
            if PositionId(number) in found or any(_has_value(shape, found) for shape in shapes)
        )
        if more == found:
            return found
        found = more


def _has_value(shape: Shape, inhabited: frozenset[PositionId]) -> bool:
    match shape:
        case Link():
            return shape.position in inhabited
        case ArrayShape():
            return _most_items(shape, inhabited) is None or (
                shape.min_items <= (_most_items(shape, inhabited) or 0)
            )
        case ObjectShape():
            return _object_has_value(shape, inhabited)
    return True


def _most_items(shape: ArrayShape, inhabited: frozenset[PositionId]) -> int | None:
    """Return the most elements that an array can have; None: any number."""
    possible = [position in inhabited for position in shape.prefix]
    most: int | None = None
    if not all(possible):
        most = possible.index(False)
    elif shape.rest is None or shape.rest not in inhabited:
        most = len(possible)
    if most is None or shape.max_items is None:
        return shape.max_items if most is None else most
    return min(most, shape.max_items)


def _object_has_value(shape: ObjectShape, inhabited: frozenset[PositionId]) -> bool:
    required = [own for own in shape.properties if own.is_required]
    possible = sum(own.position in inhabited for own in shape.properties)
    is_open = any(keys.position in inhabited for keys in shape.others)
    return (
        all(own.position in inhabited for own in required)
        and (shape.max_properties is None or len(required) <= shape.max_properties)
        and (shape.max_properties is None or shape.min_properties <= shape.max_properties)
        and (is_open or shape.min_properties <= possible)
    )


def _narrowed(shape: Shape, inhabited: frozenset[PositionId]) -> Shape:
    """Return an inhabited shape without the members that cannot be there."""
    match shape:
        case ArrayShape():
            most = _most_items(shape, inhabited)
            rest = shape.rest if shape.rest in inhabited else None
            prefix = shape.prefix if most is None else shape.prefix[:most]
            return ArrayShape(prefix, rest, shape.min_items, most)
        case ObjectShape():
            properties = [own for own in shape.properties if own.position in inhabited]
            others = [keys for keys in shape.others if keys.position in inhabited]
            return dataclasses.replace(shape, properties=tuple(properties), others=tuple(others))
    return shape


def _refuse_root(root: PositionId, positions: list[tuple[Shape, ...]]) -> None:
    """Say whether it is endless recursion or a contradiction that leaves nothing."""
    possible = frozenset(PositionId(number) for number, _ in enumerate(positions))
    while True:
        fewer = frozenset(
            number for number in possible if any(_has_value(s, possible) for s in positions[number])
        )
        if fewer == possible:
            break
        possible = fewer
    if root in possible:
        raise UnsupportedError("", "$ref", "never ends: every value would contain another")
    raise UnsupportedError(
        "", "type", "and the other keywords contradict each other: no value fits"
    )
