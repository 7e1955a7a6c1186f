"""For tests of what uses the engine: a small vocabulary, and texts written along the mask."""

import random
from dataclasses import dataclass

import numpy as np

from formwork_engine.cursor import Cursor
from formwork_engine.index import Index
from formwork_engine.vocabulary import Vocabulary

# Every byte, then some that a tokenizer would have learnt; two special ones at the end.
_MERGED = (
    *(
        b'{"',
        b'":',
        b'","',
        b'"}',
        b'"}}',
        b"}}",
        b'":"',
        b'":[',
        b"],",
        b"true",
        b"false",
        b"null",
    ),
    *(
        b"name",
        b'"name"',
        b'"name":"',
        b"the ",
        b"1",
        b"12",
        b"0.5",
        b", ",
        b": ",
        b"\xc3\xa9",
        b"\xc3",
    ),
)
END_ID = 256 + len(_MERGED)
SPECIAL_ID = END_ID + 1

_END_LIKING, _CLOSE_LIKING = 0.4, 0.5


def small_vocabulary() -> Vocabulary:
    """Return a vocabulary of all bytes and a few longer tokens, one end id and one special id."""
    tokens = [bytes([byte]) for byte in range(256)]
    return Vocabulary(
        [*tokens, *_MERGED, b"<end>", b"<other>"], special_ids=[SPECIAL_ID], end_ids=[END_ID]
    )


def allowed(cursor: Cursor, vocabulary: Vocabulary) -> list[int]:
    """Return the ids in a cursor's mask."""
    mask = np.zeros(vocabulary.words, dtype=np.int32)
    cursor.fill_mask(mask)
    return np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little")).tolist()


def advance_text(cursor: Cursor, text: bytes, vocabulary: Vocabulary) -> bool:
    """Write a text in tokens that the mask allows, the longest first; return whether it can be."""
    while text:
        fitting = [
            token_id
            for token_id in allowed(cursor, vocabulary)
            if (token := vocabulary.token_bytes(token_id)) and text.startswith(token)
        ]
        if not fitting:
            return False
        best = max(fitting, key=lambda token_id: len(vocabulary.token_bytes(token_id)))
        cursor.advance(best)
        text = text[len(vocabulary.token_bytes(best)) :]
    return True


def accepts(index: Index, text: str | bytes) -> bool:
    """Return whether a text is a whole answer."""
    data = text.encode() if isinstance(text, str) else text
    cursor = index.cursor()
    return advance_text(cursor, data, index.vocabulary) and cursor.may_end


@dataclass(frozen=True)
class Walk:
    """Where a walk ended."""

    text: bytes
    is_whole: bool


def walk(index: Index, rng: random.Random, *, limit: int = 300) -> Walk:
    """Follow the mask at random, with a liking for what closes."""
    cursor, vocabulary = index.cursor(), index.vocabulary
    written: list[int] = []
    for _ in range(limit):
        choices = allowed(cursor, vocabulary)
        ends = set(choices) & set(vocabulary.end_ids)
        if ends and (len(ends) == len(choices) or rng.random() < _END_LIKING):
            cursor.advance(ends.pop())
            return Walk(vocabulary.decode(written), is_whole=True)
        texts = [token_id for token_id in choices if token_id not in ends]
        closing = [i for i in texts if vocabulary.token_bytes(i)[:1] in (b'"', b"}", b"]")]
        token_id = rng.choice(closing if closing and rng.random() < _CLOSE_LIKING else texts)
        cursor.advance(token_id)
        written.append(token_id)
    return Walk(vocabulary.decode(written), is_whole=False)
