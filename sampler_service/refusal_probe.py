"""Refusals of models that have no token for them: recognised by how they begin.

Where the likeliest first token of an answer, or of its content behind thoughts, before the mask, is
not allowed by the index, a few tokens are decoded freely. If they begin one of the family's
phrases, the answer goes on as a refusal; if not, they are taken back and decoding is constrained,
as if nothing had been tried.
"""

from collections.abc import Sequence
from enum import Enum, auto

from sampler_service.openings import Opening

MOST_TOKENS = 8


class Verdict(Enum):
    """What the tokens so far say."""

    UNDECIDED = auto()
    REFUSAL = auto()
    ANSWER = auto()


def judge(text: str, tokens: int, phrases: Sequence[str]) -> Verdict:
    """Return whether a text begins a refusal.

    Args:
        text: Decoded so far, whole code points; white space before it does not count.
        tokens: How many it took.
        phrases: Beginnings of refusals; letter case does not count, nor which apostrophe.
    """
    said = _plain(text).lstrip()
    known = [_plain(phrase) for phrase in phrases]
    if any(said.startswith(phrase) for phrase in known):
        return Verdict.REFUSAL
    may_follow = any(phrase.startswith(said) for phrase in known)
    return Verdict.UNDECIDED if may_follow and tokens < MOST_TOKENS else Verdict.ANSWER


class Lookout:
    """Knows the places of an answer at which a refusal is looked for.

    Args:
        opening: Of the sequence: without phrases there are none.
    """

    def __init__(self, opening: Opening) -> None:
        start = opening.content_start
        self.is_here = bool(opening.refusal_phrases)
        """The next token may begin a refusal."""
        self._is_over = start is None or not opening.refusal_phrases
        self._left = _spell(start.opening) if start else ""
        self._until = _spell(start.until) if start else ""
        self._said = ""

    def leave(self) -> None:
        """Look no more at this place."""
        self.is_here = False

    def note(self, said: str | int) -> None:
        """Take in what a token of the answer has said: its text, or its id if it is special."""
        self.is_here = False
        if self._is_over:
            return
        self._said += _spell([said])
        if self._left:
            self._is_over = not self._begins_as_it_may()
        elif self._until in self._said:
            self.is_here, self._is_over = self._said.endswith(self._until), True
        else:
            self._said = self._said[-len(self._until) :]

    def _begins_as_it_may(self) -> bool:
        """Take what it may begin with off what was said, as far as that goes."""
        if self._said.startswith(self._left):
            self._said, self._left = self._said.removeprefix(self._left), ""
            return True
        return self._left.startswith(self._said)


def _spell(form: Sequence[str | int]) -> str:
    """Return texts with special tokens in between, spelled as no text can be."""
    return "".join(part if isinstance(part, str) else f"\udc00{part}\udc01" for part in form)


def _plain(text: str) -> str:
    return text.casefold().replace("\u2019", "'")
