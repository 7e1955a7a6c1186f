"""Texts with control tokens, spelled so that no text of a model can be taken for one.

Each control token is written as one lone surrogate, which no decoded text holds. So whatever a
model writes is one string, and the forms around it are strings to look for.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

_FIRST = 0xDC00
_MOST = 0x400
_KNOWN_FORMS = 4096
_CONTROL = re.compile(f"([{chr(_FIRST)}-{chr(_FIRST + _MOST - 1)}])")


class ControlTokens:
    """The control tokens of one chat format.

    Args:
        ids: Id by spelling, of those of its tokenizer that stand for no text and in its forms.
    """

    def __init__(self, ids: Mapping[str, int]) -> None:
        self._ids = dict(sorted(ids.items(), key=lambda item: -len(item[0])))
        self._numbers = {token_id: n for n, token_id in enumerate(self._ids.values())}
        self._by_number = tuple(self._ids.values())
        self._characters = {text: chr(_FIRST + n) for n, text in enumerate(self._ids)}
        self.read = lru_cache(_KNOWN_FORMS)(self._read)
        """Returns the texts and ids of a form, remembered: of names of tools too."""

    def spell(self, text: str) -> str:
        """Return a form with its control tokens as single characters."""
        for spelling, character in self._characters.items():
            text = text.replace(spelling, character)
        return text

    def character(self, token_id: int) -> str | None:
        """Return the character that stands for a control token; None for another id."""
        number = self._numbers.get(token_id)
        return None if number is None else chr(_FIRST + number)

    def split(self, spelled: str) -> Iterator[str | int]:
        """Yield the texts of a spelled form, none empty, and the ids of its control tokens."""
        for part in filter(None, _CONTROL.split(spelled)):
            yield self._by_number[ord(part) - _FIRST] if is_control(part[0]) else part

    def _read(self, text: str) -> tuple[str | int, ...]:
        return tuple(self.split(self.spell(text)))


def is_control(character: str) -> bool:
    """Return whether a character stands for a control token."""
    return _FIRST <= ord(character) < _FIRST + _MOST
