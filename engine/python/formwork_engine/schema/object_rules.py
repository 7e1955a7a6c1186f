"""The rules of one object: its properties in order, optional ones left out, then all others."""

from collections.abc import Iterator
from typing import Final, Protocol

from formwork_engine.errors import TooLargeError
from formwork_engine.schema.shapes import ObjectShape, Property

_MAX_STATES: Final = 50_000
_MAX_OPTIONAL: Final = 5_000
"""In a row: all of them may be next, and `Budget.max_row_items` counts two for each."""


class MemberWriter(Protocol):
    """Writes what the rules are made of."""

    def rule(self, name: str, body: str) -> str:
        """Add a rule and return its name."""

    def comma(self) -> str:
        """Return what stands between members."""

    def closing_brace(self) -> str:
        """Return what ends an object."""

    def member(self, own: Property) -> str:
        """Return a declared property with its value."""

    def other_member(self, shape: ObjectShape) -> str:
        """Return any property that is not declared; empty where there is none."""


State = tuple[int, int, bool]
"""Declared properties passed, members written as far as they count, whether any was written."""


class ObjectRules:
    """Writes one object as a chain of rules over states.

    Every key counts once towards `min_properties` and `max_properties`, because keys do not repeat
    (see `unique_keys`).

    Args:
        shape: Inhabited.
        name: What the rules' names begin with.
        writer: Where they go.

    Raises:
        TooLargeError: Counting needs too many states.
    """

    def __init__(self, shape: ObjectShape, name: str, writer: MemberWriter) -> None:
        self._properties = shape.properties
        self._name = name
        self._writer = writer
        self._other = writer.other_member(shape)
        required = sum(own.is_required for own in shape.properties)
        self._least = shape.min_properties if shape.min_properties > required else 0
        self._most = self._effective_maximum(shape)
        self._cap = max(self._least, self._most or 0)
        self._required_after = self._count_required()
        states = (len(shape.properties) + 1) * (self._cap + 1)
        if states > _MAX_STATES:
            raise TooLargeError("counted properties", _MAX_STATES, states)
        optional = _longest_optional_run(shape)
        if optional > _MAX_OPTIONAL:
            raise TooLargeError("optional properties", _MAX_OPTIONAL, optional)

    def write(self) -> str:
        """Return everything after the opening brace, its rules added.

        The closing brace is part of the last rules: a chain in which no rule matches the empty
        text compiles in linear time.
        """
        start = (0, 0, False)
        pending, seen = [start], {start}
        while pending:
            state = pending.pop()
            options = []
            for text, following in self._ways(state):
                options.append(f"{text} {self._rule_name(following)}".strip())
                if following not in seen:
                    seen.add(following)
                    pending.append(following)
            if state[0] == len(self._properties):
                options.append(f"{self._ending(state)} {self._writer.closing_brace()}".strip())
            self._writer.rule(self._rule_name(state), " | ".join(options))
        return self._rule_name(start)

    def _effective_maximum(self, shape: ObjectShape) -> int | None:
        """Return `max_properties` where it could be passed at all."""
        most = shape.max_properties
        can_pass = most is not None and (self._other or len(shape.properties) > most)
        return most if can_pass else None

    def _count_required(self) -> list[int]:
        counts = [0]
        for own in reversed(self._properties):
            counts.append(counts[-1] + own.is_required)
        return counts[::-1]

    def _rule_name(self, state: State) -> str:
        place, count, is_started = state
        return f"{self._name}_{place}_{count}_{int(is_started)}"

    def _ways(self, state: State) -> Iterator[tuple[str, State]]:
        """Yield the ways on: what is written and the state after it, dead ends left out."""
        place, count, is_started = state
        if place == len(self._properties):
            return
        own = self._properties[place]
        written = (place + 1, min(count + 1, self._cap), True)
        if (self._most is None or count < self._most) and self._can_end(written):
            comma = f"{self._writer.comma()} " if is_started else ""
            yield f"{comma}{self._writer.member(own)}", written
        skipped = (place + 1, count, is_started)
        if not own.is_required and self._can_end(skipped):
            yield "", skipped

    def _can_end(self, state: State) -> bool:
        place, count, _ = state
        required = self._required_after[place]
        if self._most is not None and count + required > self._most:
            return False
        return bool(self._other) or count + len(self._properties) - place >= self._least

    def _ending(self, state: State) -> str:
        """Return what may follow the last declared property."""
        _, count, is_started = state
        least = max(0, self._least - count)
        most = None if self._most is None else self._most - count
        if not self._other or most == 0:
            return EMPTY
        repeated = f"({self._writer.comma()} {self._other})"
        if is_started:
            return times(repeated, least, most)
        tail = times(repeated, max(0, least - 1), None if most is None else most - 1)
        return f"{self._other} {tail}" if least else f"({self._other} {tail})?"


EMPTY: Final = ""


def _longest_optional_run(shape: ObjectShape) -> int:
    longest = run = 0
    for own in shape.properties:
        run = 0 if own.is_required else run + 1
        longest = max(longest, run)
    return longest


def times(body: str, least: int, most: int | None) -> str:
    """Return a Lark expression repeated."""
    if most == 0:
        return EMPTY
    marks = {(0, None): "*", (1, None): "+", (0, 1): "?", (1, 1): ""}
    mark = marks.get((least, most))
    if mark is None:
        mark = f"{{{least},{'' if most is None else most}}}"
    return f"{body}{mark}"
