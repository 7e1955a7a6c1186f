"""Envelopes of sequences: linked from the worker's indexes, each once while it is used."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256

from formwork.sampler.v1 import sampler_pb2
from formwork_engine.envelope import (
    Choice,
    Envelope,
    FreeText,
    Part,
    Repeat,
    Sequence,
    SpecialToken,
    Text,
    link_index,
)
from formwork_engine.errors import EngineError
from formwork_engine.index import Index
from formwork_engine.vocabulary import Vocabulary

from mesh.errors import InvalidArgumentError
from sampler_service.indexes import Indexes, IndexName

_MAX_DEPTH = 32


class Envelopes:
    """Linked indexes by envelope; the least recently used leave first.

    Args:
        indexes: Where the parts come from.
        vocabulary: Of the model.
        max_count: Linked indexes that are kept.
    """

    def __init__(self, indexes: Indexes, vocabulary: Vocabulary, max_count: int) -> None:
        self._indexes = indexes
        self._vocabulary = vocabulary
        self._max_count = max_count
        self._linked: OrderedDict[bytes, Index] = OrderedDict()

    async def get(self, envelope: sampler_pb2.Envelope) -> Index:
        """Return the index of an envelope, linked now or earlier.

        Raises:
            InvalidArgumentError: It makes no sense.
            FormworkError: As `Indexes.get`, for any part.
        """
        names = [
            IndexName(part.index_id, part.revision, part.canonical_grammar)
            for part in envelope.parts
        ]
        key = _key(envelope, names)
        linked = self._linked.get(key)
        if linked is None:
            parts = await _all_of(self._indexes, names)
            linked = await asyncio.to_thread(self._link, envelope.shape, parts)
        self._keep(key, linked)
        return linked

    def _link(self, shape: sampler_pb2.Piece, parts: list[Index]) -> Index:
        try:
            return link_index(to_envelope(shape, parts), self._vocabulary)
        except (EngineError, ValueError) as error:
            raise InvalidArgumentError(f"The envelope: {error}", field="envelope") from error

    def _keep(self, key: bytes, linked: Index) -> None:
        self._linked[key] = linked
        self._linked.move_to_end(key)
        while len(self._linked) > self._max_count:
            self._linked.popitem(last=False)


def to_envelope(piece: sampler_pb2.Piece, parts: list[Index], depth: int = 0) -> Envelope:
    """Return a message as the engine's envelope.

    Raises:
        InvalidArgumentError: Nested too deeply, of no kind, or of a part that is not there.
        EngineError, ValueError: As the engine says it.
    """
    kind = piece.WhichOneof("kind")
    if kind is None or depth > _MAX_DEPTH:
        raise InvalidArgumentError("A piece of an envelope has no kind.", field="envelope.shape")
    return _MAKERS[kind](getattr(piece, kind), parts, depth + 1)


def _part(number: int, parts: list[Index], depth: int) -> Envelope:
    del depth
    if number >= len(parts):
        raise InvalidArgumentError(f"There is no part {number}.", field="envelope.parts")
    return Part(parts[number])


def _several(message: sampler_pb2.Pieces, parts: list[Index], depth: int) -> tuple[Envelope, ...]:
    return tuple(to_envelope(piece, parts, depth) for piece in message.pieces)


def _repeat(message: sampler_pb2.Repeat, parts: list[Index], depth: int) -> Envelope:
    piece = to_envelope(message.piece, parts, depth)
    return Repeat(piece, message.minimum, message.maximum or None)


_MAKERS: dict[str, Callable[..., Envelope]] = {
    "special_token": lambda token_id, *_: SpecialToken(token_id),
    "text": lambda text, *_: Text(text),
    "part": _part,
    "free_text": lambda free, *_: FreeText(tuple(free.until), tuple(free.without)),
    "sequence": lambda *several: Sequence(_several(*several)),
    "choice": lambda *several: Choice(_several(*several)),
    "repeat": _repeat,
}


async def _all_of(indexes: Indexes, names: list[IndexName]) -> list[Index]:
    """Return the indexes of all names; those that are not held are fetched side by side."""
    missing = dict.fromkeys(name for name in names if not indexes.holds(name))
    fetched = await asyncio.gather(*(indexes.get(name) for name in missing))
    by_name = dict(zip(missing, fetched, strict=True))
    return [by_name.get(name) or await indexes.get(name) for name in names]


def _key(envelope: sampler_pb2.Envelope, names: list[IndexName]) -> bytes:
    """Return what a linked index follows from: the shape, and the parts by content."""
    digest = sha256(envelope.shape.SerializeToString(deterministic=True))
    for name in names:
        digest.update(f"/{name.index_id}@{name.revision}".encode())
    return digest.digest()
