"""Keeps keys from repeating in an object, which llguidance's grammars cannot say.

A JSON text is followed byte by byte; every open object remembers its keys, compared after
unescaping (RFC 8259, section 4, calls names that repeat unpredictable). Tokens that would complete
a key its object has already are taken out of a mask; only those with enough quotes to do so are
looked at.
"""

import json
from typing import NamedTuple, Optional
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from formwork_engine.vocabulary import WORD_BITS, Vocabulary

_QUOTE, _BACKSLASH, _COMMA, _COLON = b'"\\,:'
_OPEN_OBJECT, _OPEN_ARRAY, _CLOSE_OBJECT, _CLOSE_ARRAY = b"{[}]"


class _Frame(NamedTuple):
    """An open object or array, and what it is in."""

    is_object: bool
    wants_key: bool
    keys: frozenset[str]
    outer: Optional["_Frame"]


class KeyState(NamedTuple):
    """A place in a JSON text, as far as keys matter. Immutable, so that going back is free."""

    frame: _Frame | None = None
    in_string: bool = False
    escaped: bool = False
    key: bytes | None = None
    """What has been written of a key, while inside one."""


START = KeyState()


def follow(state: KeyState, text: bytes) -> KeyState | None:
    """Return the state after some bytes of JSON; None if a key repeats in them."""
    for byte in text:
        after = _in_string(state, byte) if state.in_string else _between(state, byte)
        if after is None:
            return None
        state = after
    return state


def _in_string(state: KeyState, byte: int) -> KeyState | None:
    if byte == _QUOTE and not state.escaped:
        return _close_string(state)
    key = None if state.key is None else state.key + bytes((byte,))
    return state._replace(escaped=byte == _BACKSLASH and not state.escaped, key=key)


def _close_string(state: KeyState) -> KeyState | None:
    if state.key is None or state.frame is None:
        return KeyState(state.frame)
    text = state.key.decode(errors="surrogateescape")
    try:
        key = json.loads(f'"{text}"', strict=False)
    except ValueError:  # an escape that is not whole: no key, and no JSON either
        return None
    if key in state.frame.keys:
        return None
    return KeyState(state.frame._replace(keys=state.frame.keys | {key}, wants_key=False))


def _between(state: KeyState, byte: int) -> KeyState:
    frame = state.frame
    if byte == _QUOTE:
        is_key = frame is not None and frame.wants_key
        return KeyState(frame, in_string=True, key=b"" if is_key else None)
    if byte in (_OPEN_OBJECT, _OPEN_ARRAY):
        is_object = byte == _OPEN_OBJECT
        return KeyState(_Frame(is_object, is_object, frozenset(), frame))
    if byte in (_CLOSE_OBJECT, _CLOSE_ARRAY):
        return KeyState(frame.outer if frame is not None else None)
    if byte == _COMMA and frame is not None and frame.is_object:
        return KeyState(frame._replace(wants_key=True))
    return state


class KeyRule:
    """Which tokens of a vocabulary could end a key, by where a text stands.

    Args:
        vocabulary: Its token bytes.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._tokens = {
            token_id: token
            for token_id in range(vocabulary.size)
            if _QUOTE in (token := vocabulary.token_bytes(token_id))
        }
        self._with_quotes = {
            least: np.array(
                [i for i, token in self._tokens.items() if token.count(b'"') >= least],
                dtype=np.int64,
            )
            for least in (1, 2, 3)
        }

    def drop_repeats(self, state: KeyState, row: NDArray[np.int32]) -> None:
        """Take the tokens that repeat a key out of a mask, shape (words,), int32, in place."""
        # a key's own end; a key between; or the end of this string, then a key
        least = (1 if state.key is not None else 3) if state.in_string else 2
        ids = self._with_quotes[least]
        allowed = ids[(row[ids // WORD_BITS] >> (ids % WORD_BITS)) & 1 == 1]
        bits = row.view(np.uint32)
        for token_id in allowed.tolist():
            if follow(state, self._tokens[token_id]) is None:
                bits[token_id // WORD_BITS] &= np.uint32(~(1 << token_id % WORD_BITS) & 0xFFFFFFFF)


_rules: WeakKeyDictionary[Vocabulary, KeyRule] = WeakKeyDictionary()


def key_rule_of(vocabulary: Vocabulary) -> KeyRule:
    """Return the rule of a vocabulary, made once."""
    rule = _rules.get(vocabulary)
    if rule is None:
        rule = _rules[vocabulary] = KeyRule(vocabulary)
    return rule
