r"""Sets of code points, and how a JSON string spells their members.

One spelling per character: itself where JSON allows it (RFC 8259, section 7) and it is no control
character, a short escape where there is one, else a lower-case `\u00xx`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MAX_CODE_POINT: Final = 0x10FFFF
_SURROGATES: Final = (0xD800, 0xDFFF)

Range = tuple[int, int]

_SHORT_ESCAPES: Final = {
    0x08: r"\b",
    0x09: r"\t",
    0x0A: r"\n",
    0x0C: r"\f",
    0x0D: r"\r",
    0x22: r"\"",
    0x5C: r"\\",
}
_ESCAPED: Final = [*range(0x20), 0x22, 0x5C, 0x7F]


@dataclass(frozen=True)
class CharacterSet:
    """A set of code points, surrogates never among them.

    `ranges` are sorted, disjoint and inclusive. `properties` are Unicode properties in the form
    `L` or `Nd`, of which no member needs escaping; they add to the ranges.
    """

    ranges: tuple[Range, ...]
    properties: tuple[str, ...] = ()

    @classmethod
    def of(cls, ranges: Iterable[Range]) -> "CharacterSet":
        """Return the union of any ranges."""
        merged: list[Range] = []
        for low, high in sorted(ranges):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], high))
            else:
                merged.append((low, high))
        return cls(tuple(_without_surrogates(merged)))

    @classmethod
    def of_text(cls, text: str) -> "CharacterSet":
        """Return the set of the characters of a text."""
        return cls.of((ord(character), ord(character)) for character in text)

    def __or__(self, other: "CharacterSet") -> "CharacterSet":
        ranges = CharacterSet.of((*self.ranges, *other.ranges)).ranges
        return CharacterSet(ranges, (*self.properties, *other.properties))

    def complement(self) -> "CharacterSet":
        """Return every other code point.

        Raises:
            ValueError: The set has properties.
        """
        if self.properties:
            raise ValueError("the complement of a Unicode property is not known")
        gaps: list[Range] = []
        start = 0
        for low, high in self.ranges:
            if start < low:
                gaps.append((start, low - 1))
            start = high + 1
        if start <= MAX_CODE_POINT:
            gaps.append((start, MAX_CODE_POINT))
        return CharacterSet.of(gaps)

    def __contains__(self, character: str) -> bool:
        point = ord(character)
        return any(low <= point <= high for low, high in self.ranges)

    @property
    def is_empty(self) -> bool:
        """It has no member."""
        return not self.ranges and not self.properties


def _without_surrogates(ranges: Iterable[Range]) -> Iterable[Range]:
    first, last = _SURROGATES
    for low, high in ranges:
        if high < first or low > last:
            yield low, high
            continue
        if low < first:
            yield low, first - 1
        if high > last:
            yield last + 1, high


ANY_CHARACTER: Final = CharacterSet.of([(0, MAX_CODE_POINT)])


def spell_set(characters: CharacterSet) -> str:
    """Return a regular expression (Rust's syntax) of the JSON spellings of the set's members.

    Raises:
        ValueError: The set is empty.
    """
    branches = _spell_escaped([point for point in _ESCAPED if chr(point) in characters])
    plain = _plain(characters)
    if not plain.is_empty:
        branches.insert(0, _class_text(plain))
    if not branches:
        raise ValueError("no character is in the set")
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"


def _spell_escaped(points: list[int]) -> list[str]:
    """Return expressions of escapes, those with a common beginning taken together."""
    letters = [re_literal(_SHORT_ESCAPES[point][1]) for point in points if point in _SHORT_ESCAPES]
    long = [f"{point:02x}" for point in points if point not in _SHORT_ESCAPES]
    branches = [f"\\x{{5c}}[{''.join(letters)}]"] if letters else []
    for first in sorted({digits[0] for digits in long}):
        last = "".join(digits[1] for digits in long if digits[0] == first)
        branches.append(f"\\x{{5c}}u00{first}[{last}]")
    return branches


def quote(text: str) -> str:
    """Return the one JSON spelling of a string, quotes included."""
    return f'"{"".join(map(_spell_character, text))}"'


def re_literal(text: str) -> str:
    """Return a regular expression that matches exactly the text."""
    return "".join(
        character if character.isascii() and character.isalnum() else f"\\x{{{ord(character):x}}}"
        for character in text
    )


def _spell_character(character: str) -> str:
    point = ord(character)
    return _spell_escape(point) if point in _ESCAPED_SET else character


def _spell_escape(point: int) -> str:
    return _SHORT_ESCAPES.get(point) or f"\\u{point:04x}"


_ESCAPED_SET = frozenset(_ESCAPED)


def _plain(characters: CharacterSet) -> CharacterSet:
    """Return the members that stand for themselves."""
    needing = CharacterSet.of((point, point) for point in _ESCAPED)
    others = CharacterSet(characters.ranges).complement() | needing
    return CharacterSet(others.complement().ranges, characters.properties)


def _class_text(characters: CharacterSet) -> str:
    parts = [
        f"\\x{{{low:x}}}" if low == high else f"\\x{{{low:x}}}-\\x{{{high:x}}}"
        for low, high in characters.ranges
    ]
    parts += [f"\\p{{{name}}}" for name in characters.properties]
    return f"[{''.join(parts)}]"
