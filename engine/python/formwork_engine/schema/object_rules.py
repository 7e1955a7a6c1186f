"""The rules of one object: its properties in order, optional ones left out, then all others."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from formwork_engine.errors import TooLargeError
from formwork_engine.schema.shapes import ObjectShape, Property

_MAX_STATES: Final = 20_000
_MAX_OPTIONAL: Final = 1_500
"""All of them may be next, and `Budget.max_row_items` counts several items for each."""

EMPTY: Final = ""


class MemberWriter(Protocol):
    """Writes what the rules are made of."""

    def rule(self, name: str, body: str) -> str:
        """Add a rule and return its name."""

    def comma(self) -> str:
        """Return what stands between members."""

    def member(self, own: Property) -> str:
        """Return a declared property with its value."""

    def other_member(self, shape: ObjectShape) -> str:
        """Return any property that is not declared; empty where there is none."""


def write_object(shape: ObjectShape, name: str, writer: MemberWriter) -> str:
    """Return what stands between the braces, its rules added.

    Every key counts once towards `min_properties` and `max_properties`, because keys do not repeat
    (see `unique_keys`).

    Args:
        shape: Inhabited.
        name: What the rules' names begin with.
        writer: Where they go.

    Raises:
        TooLargeError: There are too many optional properties, or too many states to count them.
    """
    optional = sum(not own.is_required for own in shape.properties)
    if optional > _MAX_OPTIONAL:
        raise TooLargeError("optional properties", _MAX_OPTIONAL, optional)
    other = writer.other_member(shape)
    counts = _counts(shape, is_open=bool(other))
    if counts is not None:
        return _CountedRules(shape, other, counts, name, writer).write()
    return _TreeRules(shape, other, name, writer).write()


@dataclass(frozen=True)
class _Counts:
    """Bounds on the number of members that the properties alone do not keep."""

    least: int
    most: int | None


def _counts(shape: ObjectShape, *, is_open: bool) -> _Counts | None:
    required = sum(own.is_required for own in shape.properties)
    least = shape.min_properties if shape.min_properties > required else 0
    most = shape.max_properties
    if most is not None and not is_open and len(shape.properties) <= most:
        most = None
    return None if least == 0 and most is None else _Counts(least, most)


@dataclass(frozen=True)
class _Run:
    """Some members in a row: what they look like when there is one, and whether there must be."""

    text: str
    may_be_absent: bool
    is_rule: bool = False
    """The text is the name of a rule."""


class _TreeRules:
    """Members as a balanced tree, so that no rule leads deeper than a logarithm of their number."""

    def __init__(self, shape: ObjectShape, other: str, name: str, writer: MemberWriter) -> None:
        self._writer = writer
        self._name = name
        self._count = 0
        self._leaves = [
            _Run(writer.member(own), may_be_absent=not own.is_required) for own in shape.properties
        ]
        if other:
            repeated = f"{other} ({writer.comma()} {other})*"
            self._leaves.append(_Run(repeated, may_be_absent=True))

    def write(self) -> str:
        """Return everything between the braces."""
        if not self._leaves:
            return EMPTY
        run = self._run(0, len(self._leaves))
        return f"({run.text})?" if run.may_be_absent else run.text

    def _run(self, first: int, last: int) -> _Run:
        if last - first == 1:
            return self._leaves[first]
        middle = (first + last) // 2
        left, right = self._run(first, middle), self._run(middle, last)
        both = f"{left.text} {self._writer.comma()} {right.text}"
        if not left.may_be_absent and not right.may_be_absent:
            return _Run(both, may_be_absent=False)
        left, right = self._named(left), self._named(right)
        options = [f"{left.text} {self._writer.comma()} {right.text}"]
        options += [left.text] if right.may_be_absent else []
        options += [right.text] if left.may_be_absent else []
        absent = left.may_be_absent and right.may_be_absent
        return self._named(_Run(" | ".join(options), may_be_absent=absent))

    def _named(self, run: _Run) -> _Run:
        """Return a run as a rule of its own, because it stands in several places."""
        if run.is_rule:
            return run
        self._count += 1
        name = self._writer.rule(f"{self._name}_{self._count}", run.text)
        return _Run(name, may_be_absent=run.may_be_absent, is_rule=True)


_State = tuple[int, int]
"""Declared properties passed, and members written."""


class _CountedRules:
    """Members as a chain of states, for objects whose size is bounded."""

    def __init__(
        self, shape: ObjectShape, other: str, counts: _Counts, name: str, writer: MemberWriter
    ) -> None:
        self._properties = shape.properties
        self._other = other
        self._counts = counts
        self._name = name
        self._writer = writer
        self._cap = max(counts.least, counts.most or 0, 1)
        self._required_after = self._count_required()
        states = (len(shape.properties) + 1) * (min(self._cap, len(shape.properties)) + 1)
        if states > _MAX_STATES:
            raise TooLargeError("counted properties", _MAX_STATES, states)

    def write(self) -> str:
        """Return everything between the braces."""
        pending, seen = [(0, 0)], {(0, 0)}
        while pending:
            state = pending.pop()
            options = []
            for text, following in self._ways(state):
                options.append(f"{text} {self._rule_name(following)}".strip())
                if following not in seen:
                    seen.add(following)
                    pending.append(following)
            if state[0] == len(self._properties):
                options.append(self._ending(state[1]))
            self._writer.rule(self._rule_name(state), " | ".join(options) or '""')
        return self._rule_name((0, 0))

    def _count_required(self) -> list[int]:
        counts = [0]
        for own in reversed(self._properties):
            counts.append(counts[-1] + own.is_required)
        return counts[::-1]

    def _rule_name(self, state: _State) -> str:
        return f"{self._name}_{state[0]}_{state[1]}"

    def _ways(self, state: _State) -> Iterator[tuple[str, _State]]:
        """Yield the ways on: what is written and the state after it, dead ends left out."""
        place, count = state
        if place == len(self._properties):
            return
        own = self._properties[place]
        written = (place + 1, min(count + 1, self._cap))
        if (self._counts.most is None or count < self._counts.most) and self._can_end(written):
            comma = f"{self._writer.comma()} " if count else ""
            yield f"{comma}{self._writer.member(own)}", written
        skipped = (place + 1, count)
        if not own.is_required and self._can_end(skipped):
            yield "", skipped

    def _can_end(self, state: _State) -> bool:
        place, count = state
        most = self._counts.most
        if most is not None and count + self._required_after[place] > most:
            return False
        return bool(self._other) or count + len(self._properties) - place >= self._counts.least

    def _ending(self, count: int) -> str:
        """Return what may follow the last declared property."""
        least = max(0, self._counts.least - count)
        most = None if self._counts.most is None else self._counts.most - count
        if not self._other or most == 0:
            return '""'
        repeated = f"({self._writer.comma()} {self._other})"
        if count:
            return times(repeated, least, most)
        tail = times(repeated, max(0, least - 1), None if most is None else most - 1)
        return f"{self._other} {tail}" if least else f"({self._other} {tail})?"


def times(body: str, least: int, most: int | None) -> str:
    """Return a Lark expression repeated."""
    if most == 0:
        return EMPTY
    marks = {(0, None): "*", (1, None): "+", (0, 1): "?", (1, 1): ""}
    mark = marks.get((least, most))
    if mark is None:
        mark = f"{{{least},{'' if most is None else most}}}"
    return f"{body}{mark}"
