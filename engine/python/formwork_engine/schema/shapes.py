"""What a schema is lowered to: positions, each a choice of shapes of one JSON type.

A position is a place where a value stands, with everything that constrains it there. Positions
refer to one another by number, so that recursive schemas are finite. Keywords that combine schemas
(`allOf`, `anyOf`, `oneOf`, `$ref` with siblings) are gone.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, NewType

from formwork_engine.schema.patterns import Pattern, matches

PositionId = NewType("PositionId", int)

ANY: Final = PositionId(0)
"""The position that any JSON value fits."""


@dataclass(frozen=True)
class Link:
    """Whatever fits another position."""

    position: PositionId


@dataclass(frozen=True)
class NullShape:
    """`null`."""


@dataclass(frozen=True)
class BooleanShape:
    """One of some booleans."""

    values: frozenset[bool] = frozenset([True, False])


@dataclass(frozen=True)
class NumberShape:
    """Numbers between two bounds."""

    lower: Fraction | None = None
    excludes_lower: bool = False
    upper: Fraction | None = None
    excludes_upper: bool = False
    is_integer: bool = False
    multiple_of: Fraction | None = None
    literals: tuple[Fraction, ...] | None = None
    """Only these, which satisfy all else."""

    def admits(self, value: Fraction) -> bool:
        """Return whether a number has this shape."""
        if self.literals is not None:
            return value in self.literals
        return (
            (not self.is_integer or value.denominator == 1)
            and (self.multiple_of is None or (value / self.multiple_of).denominator == 1)
            and self._is_above(value)
            and self._is_below(value)
        )

    def _is_above(self, value: Fraction) -> bool:
        if self.lower is None:
            return True
        return value > self.lower or (value == self.lower and not self.excludes_lower)

    def _is_below(self, value: Fraction) -> bool:
        if self.upper is None:
            return True
        return value < self.upper or (value == self.upper and not self.excludes_upper)


@dataclass(frozen=True)
class StringShape:
    """Strings of some length in which every pattern is found."""

    min_length: int = 0
    max_length: int | None = None
    patterns: tuple[Pattern, ...] = ()
    literals: tuple[str, ...] | None = None
    """Only these, which satisfy all else."""

    def admits(self, text: str) -> bool:
        """Return whether a string has this shape."""
        if self.literals is not None:
            return text in self.literals
        return (
            self.min_length <= len(text)
            and (self.max_length is None or len(text) <= self.max_length)
            and all(matches(pattern, text) for pattern in self.patterns)
        )


@dataclass(frozen=True)
class ArrayShape:
    """Some elements with positions of their own, then any number of others."""

    prefix: tuple[PositionId, ...] = ()
    rest: PositionId | None = ANY
    """None: there are no others."""
    min_items: int = 0
    max_items: int | None = None


@dataclass(frozen=True)
class Property:
    """One declared property."""

    name: str
    position: PositionId
    is_required: bool


@dataclass(frozen=True)
class KeyClass:
    """Keys that are not declared: those in which each of `found` is found and none of `absent`."""

    position: PositionId
    found: tuple[Pattern, ...] = ()
    absent: tuple[Pattern, ...] = ()
    names: tuple[StringShape, ...] | None = None
    """The shapes of which a key must have one; None: any key."""

    def admits(self, name: str) -> bool:
        """Return whether a key that is not declared belongs here."""
        return (
            all(matches(pattern, name) for pattern in self.found)
            and not any(matches(pattern, name) for pattern in self.absent)
            and (self.names is None or any(shape.admits(name) for shape in self.names))
        )


@dataclass(frozen=True)
class ObjectShape:
    """Declared properties in this order, then keys of some classes."""

    properties: tuple[Property, ...] = ()
    others: tuple[KeyClass, ...] = (KeyClass(ANY),)
    taken: frozenset[str] = frozenset()
    """Names that no key of a class may have: those declared, and those that cannot have a value."""
    min_properties: int = 0
    max_properties: int | None = None

    def find(self, name: str) -> PositionId | None:
        """Return the position of a key's value; None where the key may not be."""
        if name in self.taken:
            return next((own.position for own in self.properties if own.name == name), None)
        return next((other.position for other in self.others if other.admits(name)), None)


Shape = Link | NullShape | BooleanShape | NumberShape | StringShape | ArrayShape | ObjectShape

ANY_VALUE: Final[tuple[Shape, ...]] = (
    NullShape(),
    BooleanShape(),
    NumberShape(),
    StringShape(),
    ArrayShape(),
    ObjectShape(),
)


@dataclass
class Lowered:
    """A whole schema: its positions by number, 0 being any value, and the root's."""

    root: PositionId = ANY
    positions: list[tuple[Shape, ...]] = field(default_factory=lambda: [ANY_VALUE])
