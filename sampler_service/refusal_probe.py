"""Refusals of models that have no token for them: recognised by how they begin.

Where the likeliest first token, before the mask, is not allowed by the index, a few tokens are
decoded freely. If they begin one of the family's phrases, the answer goes on as a refusal; if not,
they are taken back and decoding is constrained, as if nothing had been tried.
"""

from collections.abc import Sequence
from enum import Enum, auto

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


def _plain(text: str) -> str:
    return text.casefold().replace("\u2019", "'")
