"""Regular expressions of JSON Schema (ECMA-262), read into a tree that can be spelled and matched.

What has no counterpart in a regular language, or differs between engines, is refused:
look-around, back-references, word boundaries, inline flags.
"""

import re
from dataclasses import dataclass
from typing import Final

from formwork_engine.schema.characters import CharacterSet

MAX_PATTERN_CHARACTERS: Final = 20_000
MAX_REPEAT: Final = 100_000
MAX_EXPANDED: Final = 200_000
_MAX_GROUPS: Final = 200
"""Nesting of groups."""


class PatternError(ValueError):
    """The expression is malformed, or cannot be enforced; the message says why."""


@dataclass(frozen=True)
class Characters:
    """One character of a set."""

    members: CharacterSet


@dataclass(frozen=True)
class Sequence:
    """One after the other; empty: the empty string."""

    parts: tuple["Pattern", ...]


@dataclass(frozen=True)
class Choice:
    """One of them."""

    options: tuple["Pattern", ...]


@dataclass(frozen=True)
class Repeat:
    """Between `minimum` and `maximum` (None: any number of) times."""

    body: "Pattern"
    minimum: int
    maximum: int | None


@dataclass(frozen=True)
class Start:
    """`^`: the beginning of the string."""


@dataclass(frozen=True)
class End:
    """`$`: the end of the string."""


Pattern = Characters | Sequence | Choice | Repeat | Start | End

EMPTY: Final = Sequence(())

_DIGITS = CharacterSet.of([(0x30, 0x39)])
_WORD = CharacterSet.of([(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)])
_SPACE = CharacterSet.of(
    [
        (0x09, 0x0D),
        (0x20, 0x20),
        (0xA0, 0xA0),
        (0x1680, 0x1680),
        (0x2000, 0x200A),
        (0x2028, 0x2029),
        (0x202F, 0x202F),
        (0x205F, 0x205F),
        (0x3000, 0x3000),
        (0xFEFF, 0xFEFF),
    ]
)
_CLASSES = {
    "d": _DIGITS,
    "D": _DIGITS.complement(),
    "w": _WORD,
    "W": _WORD.complement(),
    "s": _SPACE,
    "S": _SPACE.complement(),
}
_DOT = CharacterSet.of_text("\n\r\u2028\u2029").complement()
_CONTROLS = {"t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "0": "\0"}
# General categories of which no member is a control character, a quote or a backslash.
_PROPERTY = re.compile(r"\{(?:gc=|General_Category=)?(L[ultmo]?|N[dlo]?|M[nce]?)\}")
_COUNT = re.compile(r"\{(\d{1,9})(,(\d{0,9}))?\}")
_HEX = {
    "x": re.compile(r"[0-9A-Fa-f]{2}"),
    "u": re.compile(r"[0-9A-Fa-f]{4}|\{[0-9A-Fa-f]{1,6}\}"),
}
_LOW_SURROGATE = re.compile(r"\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})")


def read_pattern(text: str) -> Pattern:
    """Return the tree of an expression.

    Raises:
        PatternError: It is malformed, too long, or cannot be enforced.
    """
    if len(text) > MAX_PATTERN_CHARACTERS:
        raise PatternError(f"has {len(text)} characters, more than {MAX_PATTERN_CHARACTERS}")
    reader = _Reader(text)
    pattern = reader.choice(depth=0)
    if not reader.at_end:
        raise PatternError(f"has an unmatched ) at character {reader.place}")
    size = _expanded_size(pattern)
    if size > MAX_EXPANDED:
        raise PatternError(f"repeats itself to a size of {size}, more than {MAX_EXPANDED}")
    return pattern


def _expanded_size(pattern: Pattern) -> int:
    """Return how many characters there would be with every counted repetition written out."""
    match pattern:
        case Sequence(parts) | Choice(parts):
            return 1 + sum(map(_expanded_size, parts))
        case Repeat(body, minimum, maximum):
            return _expanded_size(body) * max(minimum, maximum or 1, 1)
    return 1


class _Reader:
    """Reads one expression from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.place = 0

    @property
    def at_end(self) -> bool:
        return self.place >= len(self._text)

    def choice(self, depth: int) -> Pattern:
        if depth > _MAX_GROUPS:
            raise PatternError(f"nests groups more than {_MAX_GROUPS} deep")
        options = [self._sequence(depth)]
        while self._take("|"):
            options.append(self._sequence(depth))
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _sequence(self, depth: int) -> Pattern:
        parts: list[Pattern] = []
        while not self.at_end and self._text[self.place] not in "|)":
            parts.append(self._repeated(self._atom(depth)))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _atom(self, depth: int) -> Pattern:  # noqa: PLR0911 - by character
        character = self._next()
        match character:
            case "^":
                return Start()
            case "$":
                return End()
            case ".":
                return Characters(_DOT)
            case "(":
                return self._group(depth)
            case "[":
                return Characters(self._character_class())
            case "\\":
                return Characters(self._escape(in_class=False))
            case "*" | "+" | "?":
                raise PatternError(f"has nothing to repeat at character {self.place}")
        return Characters(CharacterSet.of_text(character))

    def _group(self, depth: int) -> Pattern:
        if self._take("?"):
            self._open_group()
        body = self.choice(depth + 1)
        if not self._take(")"):
            raise PatternError("has an unmatched (")
        return body

    def _open_group(self) -> None:
        if self._take(":"):
            return
        name = re.compile(r"<[A-Za-z_$][\w$]*>").match(self._text, self.place)
        if name:
            self.place = name.end()
            return
        rest = self._text[self.place : self.place + 2]
        if rest[:1] in ("=", "!") or rest in ("<=", "<!"):
            raise PatternError("has look-around, which is not enforced")
        raise PatternError("has inline flags or an unknown group, which is not enforced")

    def _repeated(self, body: Pattern) -> Pattern:
        count = self._count()
        if count is None:
            return body
        if isinstance(body, Start | End):
            raise PatternError("repeats an anchor, which is not enforced")
        self._take("?")  # lazy: the same language
        if self._count() is not None:
            raise PatternError(f"repeats a repetition at character {self.place}")
        minimum, maximum = count
        if max(minimum, maximum or 0) > MAX_REPEAT:
            raise PatternError(f"repeats more than {MAX_REPEAT} times")
        if maximum is not None and maximum < minimum:
            raise PatternError("has a repetition with its numbers out of order")
        return Repeat(body, minimum, maximum)

    def _count(self) -> tuple[int, int | None] | None:
        for mark, count in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(mark):
                return count
        found = _COUNT.match(self._text, self.place)
        if not found:
            return None
        self.place = found.end()
        minimum = int(found[1])
        if found[2] is None:
            return minimum, minimum
        return minimum, int(found[3]) if found[3] else None

    def _character_class(self) -> CharacterSet:
        is_negated = self._take("^")
        members = CharacterSet(())
        while not self._take("]"):
            low = self._class_item()
            if self._text[self.place : self.place + 1] == "-" and self._text[
                self.place + 1 : self.place + 2
            ] not in ("]", ""):
                self.place += 1
                members |= _range(low, self._class_item())
            else:
                members |= low
        if is_negated and members.properties:
            raise PatternError("negates a Unicode property, which is not enforced")
        members = members.complement() if is_negated else members
        if members.is_empty:
            raise PatternError("has an empty class")
        return members

    def _class_item(self) -> CharacterSet:
        character = self._next()
        if character == "\\":
            return self._escape(in_class=True)
        return CharacterSet.of_text(character)

    def _escape(self, *, in_class: bool) -> CharacterSet:  # noqa: PLR0911 - by character
        character = self._next()
        if character in _CLASSES:
            return _CLASSES[character]
        if character in "xu":
            return CharacterSet.of_text(self._hexadecimal(character))
        if character == "p":
            return self._property()
        if character == "c":
            return CharacterSet.of_text(self._control())
        if character == "b" and in_class:
            return CharacterSet.of_text("\b")
        if character in "bB":
            raise PatternError("has a word boundary, which is not enforced")
        if character in "123456789k":
            raise PatternError("has a back-reference, which is not enforced")
        if character in _CONTROLS:
            return CharacterSet.of_text(_CONTROLS[character])
        if character.isalnum():
            raise PatternError(f"has the unknown escape \\{character}")
        return CharacterSet.of_text(character)

    def _hexadecimal(self, kind: str) -> str:
        digits = _HEX[kind].match(self._text, self.place)
        if not digits:
            raise PatternError(f"has an incomplete \\{kind}")
        self.place = digits.end()
        point = int(digits[0].strip("{}"), 16)
        if 0xD800 <= point <= 0xDBFF:  # noqa: PLR2004 - the first half of a surrogate pair
            point = self._second_half(point)
        if point > 0x10FFFF or 0xD800 <= point <= 0xDFFF:  # noqa: PLR2004 - outside Unicode
            raise PatternError("has an escape that is no character")
        return chr(point)

    def _second_half(self, first: int) -> int:
        second = _LOW_SURROGATE.match(self._text, self.place)
        if not second:
            return first
        self.place = second.end()
        return 0x10000 + ((first - 0xD800) << 10) + int(second[1], 16) - 0xDC00

    def _property(self) -> CharacterSet:
        name = _PROPERTY.match(self._text, self.place)
        if not name:
            raise PatternError("has a Unicode property that is not enforced")
        self.place = name.end()
        return CharacterSet((), (name[1],))

    def _control(self) -> str:
        letter = self._next()
        if not (letter.isascii() and letter.isalpha()):
            raise PatternError("has an incomplete \\c")
        return chr(ord(letter) % 32)

    def _next(self) -> str:
        if self.at_end:
            raise PatternError("ends too early")
        self.place += 1
        return self._text[self.place - 1]

    def _take(self, character: str) -> bool:
        found = self._text.startswith(character, self.place)
        self.place += found
        return found


def _range(low: CharacterSet, high: CharacterSet) -> CharacterSet:
    ends = [end.ranges[0] for end in (low, high) if len(end.ranges) == 1]
    if len(ends) < 2 or any(first != last for first, last in ends):  # noqa: PLR2004 - two ends
        raise PatternError("has a range whose end is a class")
    if ends[0][0] > ends[1][0]:
        raise PatternError("has a range out of order")
    return CharacterSet.of([(ends[0][0], ends[1][0])])


def matches(pattern: Pattern, text: str) -> bool:
    """Return whether the expression is found anywhere in the text: polynomial time."""
    return any(_ends(pattern, text, frozenset([start])) for start in range(len(text) + 1))


def _ends(pattern: Pattern, text: str, starts: frozenset[int]) -> frozenset[int]:
    """Return where matches that begin at `starts` may end."""
    match pattern:
        case Characters(members):
            return frozenset(
                start + 1 for start in starts if start < len(text) and _is_in(text[start], members)
            )
        case Sequence(parts):
            for part in parts:
                starts = _ends(part, text, starts)
            return starts
        case Choice(options):
            return frozenset().union(*(_ends(option, text, starts) for option in options))
        case Repeat(body, minimum, maximum):
            return _repeated_ends(body, minimum, maximum, text, starts)
        case Start():
            return starts & {0}
        case End():
            return starts & {len(text)}


def _repeated_ends(
    body: Pattern, minimum: int, maximum: int | None, text: str, starts: frozenset[int]
) -> frozenset[int]:
    for _ in range(minimum):
        after = _ends(body, text, starts)
        if after == starts:  # a further round changes nothing
            break
        starts = after
    reached, newest, left = starts, starts, None if maximum is None else maximum - minimum
    while newest and (left is None or left > 0):
        newest = _ends(body, text, newest) - reached
        reached |= newest
        left = None if left is None else left - 1
    return reached


def _is_in(character: str, members: CharacterSet) -> bool:
    if character in members:
        return True
    import unicodedata  # noqa: PLC0415 - large, and seldom needed

    category = unicodedata.category(character)
    return any(category.startswith(name) for name in members.properties)
