"""Positions and shapes written as one Lark grammar in llguidance's dialect.

Each position is a rule. What a lexer must see as one piece (a string, a number, a key) is a
terminal; braces, separators and keys are pieces of their own, because the lexer takes the longest
piece that any rule allows at a place.
"""

import json
import re
from fractions import Fraction
from typing import Final

from formwork_engine.errors import TooLargeError, UnsupportedError
from formwork_engine.inputs import IndexOptions, Whitespace
from formwork_engine.schema.characters import quote
from formwork_engine.schema.numbers import spell_number
from formwork_engine.schema.object_rules import times, write_object
from formwork_engine.schema.rule_depth import longest_chain
from formwork_engine.schema.shapes import (
    ArrayShape,
    BooleanShape,
    Link,
    Lowered,
    NullShape,
    NumberShape,
    ObjectShape,
    PositionId,
    Property,
    Shape,
    StringShape,
)
from formwork_engine.schema.terminals import define_key, define_string

_MAX_DEPTH: Final = 15_000
"""Of rules that lead into each other; what `deep_stack` has room for."""
_RULE_NAME: Final = re.compile(r"\b[poa]\d\w*\b|\bws\b")
_LITERAL: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_MULTIPLE_BOUND: Final = 10**12
"""Multiples are enforced between this and its negative, unless bounds say otherwise."""
_MAX_EXACT: Final = 2**53


class Writer:
    """Writes one grammar.

    Args:
        lowered: Pruned.
        options: Whitespace and separators.
    """

    def __init__(self, lowered: Lowered, options: IndexOptions) -> None:
        self._lowered = lowered
        self._lines: list[str] = []
        self._terminals: dict[str, str] = {}
        self._references: dict[str, list[str]] = {}
        self._written: set[PositionId] = set()
        self._waiting: list[PositionId] = []
        self._objects = 0
        self._spaced = options.whitespace is Whitespace.BOUNDED and options.max_whitespace > 0
        item, key = options.item_separator, options.key_separator
        if self._spaced:
            self._space = self.rule("ws", f"/[ \\t\\n\\r]{{1,{options.max_whitespace}}}/?")
            item, key = item.strip(" \t\r\n"), key.strip(" \t\r\n")
        self._comma = self._around(literal(item))
        self._colon = self._around(literal(key))

    def write(self) -> str:
        """Return the grammar's text.

        Raises:
            UnsupportedError: A number of properties or multiples that cannot be enforced.
            TooLargeError: Counting properties needs too many rules.
        """
        self.rule("start", self._position(self._lowered.root))
        while self._waiting:
            position = self._waiting.pop()
            shapes = self._lowered.positions[position]
            self.rule(f"p{position}", " | ".join(map(self._shape, shapes)))
        self._check_depth()
        terminals = [f"{name}: {definition}" for definition, name in self._terminals.items()]
        return "\n".join([*self._lines, *terminals]) + "\n"

    def rule(self, name: str, body: str) -> str:
        """Add a rule and return its name."""
        self._lines.append(f"{name}: {body}")
        self._references[name] = _RULE_NAME.findall(_LITERAL.sub("", body))
        return name

    def _check_depth(self) -> None:
        depth = longest_chain(self._references)
        if depth > _MAX_DEPTH:
            raise TooLargeError("rule depth", _MAX_DEPTH, depth)

    def _terminal(self, definition: str) -> str:
        return self._terminals.setdefault(definition, f"T{len(self._terminals)}")

    def _position(self, position: PositionId) -> str:
        if position not in self._written:
            self._written.add(position)
            self._waiting.append(position)
        return f"p{position}"

    def _around(self, text: str) -> str:
        return f"{self._space} {text} {self._space}" if self._spaced else text

    def _enclosed(self, opening: str, body: str, closing: str) -> str:
        if not self._spaced:
            return f"{literal(opening)} {body} {literal(closing)}"
        return f"{literal(opening)} {self._space} {body} {self._space} {literal(closing)}"

    def _shape(self, shape: Shape) -> str:  # noqa: PLR0911 - by kind
        match shape:
            case Link():
                return self._position(shape.position)
            case NullShape():
                return literal("null")
            case BooleanShape():
                return " | ".join(literal(str(value).lower()) for value in sorted(shape.values))
            case NumberShape():
                return self._number(shape)
            case StringShape():
                return self._terminal(define_string(shape))
            case ArrayShape():
                return self._array(shape)
            case ObjectShape():
                return self._object(shape)

    def _number(self, shape: NumberShape) -> str:
        if shape.multiple_of is None or shape.literals is not None or shape.multiple_of == 1:
            return self._terminal(spell_number(shape))
        return f"%json {_multiples(shape)}"

    # Arrays: one rule for each element that has a place of its own.

    def _array(self, shape: ArrayShape) -> str:
        self._objects += 1
        name = f"a{self._objects}"
        body = self._repeated(shape, len(shape.prefix))
        for place in range(len(shape.prefix) - 1, -1, -1):
            comma = f"{self._comma} " if place else ""
            body = f"{comma}{self._position(shape.prefix[place])} {body}"
            body = f"({body})?" if place >= shape.min_items else body
            body = self.rule(f"{name}_{place}", body)
        return self._enclosed("[", body, "]")

    def _repeated(self, shape: ArrayShape, written: int) -> str:
        """Return the rest of an array after the elements that have places of their own."""
        least = max(0, shape.min_items - written)
        most = None if shape.max_items is None else shape.max_items - written
        if shape.rest is None or (most is not None and most <= 0):
            return ""
        item = self._position(shape.rest)
        if written:
            return times(f"({self._comma} {item})", least, most)
        tail = times(
            f"({self._comma} {item})", max(0, least - 1), None if most is None else most - 1
        )
        return f"{item} {tail}" if least else f"({item} {tail})?"

    def _object(self, shape: ObjectShape) -> str:
        self._objects += 1
        return self._enclosed("{", write_object(shape, f"o{self._objects}", self), "}")

    def member(self, own: Property) -> str:
        """Return a declared property with its value."""
        return f"{literal(quote(own.name))} {self._colon} {self._position(own.position)}"

    def other_member(self, shape: ObjectShape) -> str:
        """Return any property that is not declared; empty where there is none."""
        members = [
            f"{self._terminal(define_key(keys, shape.taken))} {self._colon} "
            f"{self._position(keys.position)}"
            for keys in shape.others
        ]
        return f"({' | '.join(members)})" if members else ""

    def comma(self) -> str:
        """Return what stands between members."""
        return self._comma


def literal(text: str) -> str:
    """Return a Lark literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _multiples(shape: NumberShape) -> str:
    """Return the JSON Schema of multiples: llguidance's own arithmetic enforces these."""
    bounds = {
        "minimum": -_MULTIPLE_BOUND if shape.lower is None else shape.lower,
        "maximum": _MULTIPLE_BOUND if shape.upper is None else shape.upper,
    }
    for name, is_excluded in (("minimum", shape.excludes_lower), ("maximum", shape.excludes_upper)):
        if is_excluded:
            bounds[f"exclusive{name.capitalize()}"] = bounds.pop(name)
    step = shape.multiple_of or Fraction(1)
    schema = {"type": "integer" if step.denominator == 1 else "number", "multipleOf": _exact(step)}
    schema |= {name: _exact(Fraction(bound)) for name, bound in bounds.items()}
    return json.dumps({**schema, "x-guidance": {"whitespace_flexible": False}})


def _exact(value: Fraction) -> int | float:
    """Return a number that a double holds exactly as its decimal says."""
    if value.denominator == 1 and abs(value) <= _MAX_EXACT:
        return int(value)
    number = float(value)
    if Fraction(repr(number)) != value or abs(number) > _MAX_EXACT:
        raise UnsupportedError("", "multipleOf", "is not enforced with so many digits")
    return number
