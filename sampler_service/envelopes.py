"""Envelopes of sequences: linked from the worker's indexes, each once while it is used."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from formwork.sampler.v1 import sampler_pb2
from formwork_engine.envelope import EnvelopeWriter
from formwork_engine.errors import EngineError
from formwork_engine.index import Index
from formwork_engine.vocabulary import Vocabulary

from mesh.errors import InvalidArgumentError
from mesh.tasks import do_all
from sampler_service.index_fetcher import IndexName
from sampler_service.indexes import Indexes, Loaded

_MAX_DEPTH = 32


@dataclass(frozen=True)
class WantedEnvelope:
    """An envelope as a Bind brings it, and the hash of all that a linked index follows from."""

    shape: sampler_pb2.Piece
    names: list[IndexName]
    key: bytes

    @classmethod
    def of(cls, envelope: sampler_pb2.Envelope) -> "WantedEnvelope":
        """Return what a message asks for."""
        names = [
            IndexName(part.index_id, part.revision, part.canonical_grammar, part.inline_index)
            for part in envelope.parts
        ]
        return cls(envelope.shape, names, _key(envelope, names))


@dataclass(frozen=True)
class _Linked:
    index: Index
    index_ids: list[str]
    """Of its parts."""


class Envelopes:
    """Linked indexes by envelope, as long as their parts are held; the least recently used leave.

    Args:
        indexes: Where the parts come from.
        vocabulary: Of the model.
        max_count: Linked indexes that are kept.
    """

    def __init__(self, indexes: Indexes, vocabulary: Vocabulary, max_count: int) -> None:
        self._indexes = indexes
        self._vocabulary = vocabulary
        self._max_count = max_count
        self._linked: OrderedDict[bytes, _Linked] = OrderedDict()
        self._linking: dict[bytes, asyncio.Task[Index]] = {}
        self._dropped = 0
        """How many indexes had left when parts were last looked for."""

    def find(self, envelope: WantedEnvelope) -> Index | None:
        """Return the index of an envelope that was linked earlier, if its parts are all held."""
        kept = self._linked.get(envelope.key)
        if kept is None or None in map(self._indexes.find, envelope.names):
            return None
        self._linked.move_to_end(envelope.key)
        return kept.index

    async def get(self, envelope: WantedEnvelope) -> Index:
        """Return the index of an envelope, linked now or earlier.

        Raises:
            InvalidArgumentError: It makes no sense.
            FormworkError: As `Indexes.get`, for any part.
        """
        found = self.find(envelope)
        if found is not None:
            return found
        if envelope.key in self._linking:
            return await self._link_once(envelope, {}, [])
        return await self._link_once(envelope, *await self._gather(envelope.names))

    async def _gather(self, names: list[IndexName]) -> tuple[dict[str, Index], list[IndexName]]:
        """Return the indexes of names by id, and which are still to be loaded: a few that came.

        Those that are neither held nor came are fetched side by side.
        """
        brought = self._indexes.brought(names)
        if len(brought) > 1:  # several threads load them: then they are linked
            await self._indexes.take_in(brought)
            brought = []
        new = [name for batch in brought for name in batch]
        coming = {name.index_id for name in new}
        found = {name.index_id: self._indexes.find(name) for name in names}
        missing = {
            name.index_id: name
            for name in names
            if found[name.index_id] is None and name.index_id not in coming
        }
        fetched = await do_all(map(self._indexes.get, missing.values()))
        held = {index_id: index for index_id, index in found.items() if index is not None}
        return held | dict(zip(missing, fetched, strict=True)), new

    async def _link_once(
        self, envelope: WantedEnvelope, parts: dict[str, Index], new: list[IndexName]
    ) -> Index:
        """Link an envelope once for all sequences that want it at the same time."""
        task = self._linking.get(envelope.key)
        if task is None:
            task = asyncio.create_task(self._link(envelope, parts, new))
            self._linking[envelope.key] = task
            task.add_done_callback(lambda done: self._end_link(envelope.key, done))
        return await asyncio.shield(task)

    def _end_link(self, key: bytes, done: asyncio.Task[Index]) -> None:
        del self._linking[key]
        if not done.cancelled():
            done.exception()  # seen, even where everybody who waited has left

    async def _link(
        self, envelope: WantedEnvelope, parts: dict[str, Index], new: list[IndexName]
    ) -> Index:
        """Load what is new, which with the parts is all that is named, and link, on one thread."""
        loaded, linked = await asyncio.to_thread(self._load_and_link, envelope, parts, new)
        self._indexes.hold(new, loaded)
        self._keep(envelope.key, _Linked(linked, [name.index_id for name in envelope.names]))
        return linked

    def _load_and_link(
        self, envelope: WantedEnvelope, parts: dict[str, Index], new: list[IndexName]
    ) -> tuple[list[Loaded], Index]:
        loaded = self._indexes.load_parts(new) if new else []
        by_id = parts | {name.index_id: one.index for name, one in zip(new, loaded, strict=True)}
        ordered = [by_id[name.index_id] for name in envelope.names]
        try:
            return loaded, link_shape(envelope.shape, ordered, self._vocabulary)
        except (EngineError, ValueError) as error:
            raise InvalidArgumentError(f"The envelope: {error}", field="envelope") from error

    def _keep(self, key: bytes, linked: _Linked) -> None:
        """Keep a linked index; those whose parts have left are let go, and their memory with it."""
        if self._dropped != self._indexes.dropped:
            self._dropped = self._indexes.dropped
            gone = [k for k, other in self._linked.items() if not self._holds(other.index_ids)]
            for other in gone:
                del self._linked[other]
        self._linked[key] = linked
        self._linked.move_to_end(key)
        while len(self._linked) > self._max_count:
            self._linked.popitem(last=False)

    def _holds(self, index_ids: list[str]) -> bool:
        return all(map(self._indexes.holds, index_ids))


def link_shape(shape: sampler_pb2.Piece, parts: list[Index], vocabulary: Vocabulary) -> Index:
    """Return the index of an envelope's shape around its parts.

    Raises:
        InvalidArgumentError: Nested too deeply, of no kind, or of a part that is not there.
        EngineError, ValueError: As the engine says it.
    """
    shapes = _ShapeReader(parts)
    shapes.read(shape, 0)
    return shapes.writer.link(vocabulary)


class _ShapeReader:
    """Reads one shape, piece by piece."""

    def __init__(self, parts: list[Index]) -> None:
        self.writer = EnvelopeWriter()
        self._parts = parts
        self._choices: dict[tuple[str, bytes], int] = {}
        """Those that were read: the tools of a first call are those of the next ones."""

    def read(self, piece: sampler_pb2.Piece, depth: int) -> int:  # noqa: PLR0911 - one for each kind
        """Write a piece; return its number."""
        kind, writer = piece.WhichOneof("kind"), self.writer
        if kind is None or depth > _MAX_DEPTH:
            raise InvalidArgumentError(
                "A piece of an envelope has no kind.", field="envelope.shape"
            )
        match kind:
            case "special_token":
                return writer.special(piece.special_token)
            case "text":
                return writer.text(piece.text)
            case "part":
                return writer.part(self._index(piece.part))
            case "free_text":
                free = piece.free_text
                return writer.free(until=free.until, without=free.without)
            case "sequence":
                return writer.sequence(self._several(piece.sequence, depth))
            case "choice":
                return self._choice(piece.choice, depth)
            case "branches":
                return self._branches(piece.branches, depth)
            case "repeat":
                again = piece.repeat
                inner = self.read(again.piece, depth + 1)
                return writer.repeat(inner, again.minimum, again.maximum or None)

    def _index(self, number: int) -> Index:
        if number >= len(self._parts):
            raise InvalidArgumentError(f"There is no part {number}.", field="envelope.parts")
        return self._parts[number]

    def _several(self, message: sampler_pb2.Pieces, depth: int) -> list[int]:
        return [self.read(piece, depth + 1) for piece in message.pieces]

    def _branches(self, message: sampler_pb2.Branches, depth: int) -> int:
        if not message.texts or len(message.texts) != len(message.parts):
            raise InvalidArgumentError(
                "Branches have texts, and a part for each.", field="envelope.shape"
            )
        key = ("branches", message.SerializeToString())
        if key not in self._choices:
            between = self._together(message.between, depth)
            after = self._together(message.after, depth)
            parts = [self._index(number) for number in message.parts]
            self._choices[key] = self.writer.branches(message.texts, between, parts, after)
        return self._choices[key]

    def _together(self, pieces: Iterable[sampler_pb2.Piece], depth: int) -> list[int]:
        """Return pieces as one: a branch refers to it, however many there are."""
        several = [self.read(piece, depth + 1) for piece in pieces]
        return [self.writer.sequence(several)] if len(several) > 1 else several

    def _choice(self, message: sampler_pb2.Pieces, depth: int) -> int:
        key = ("choice", message.SerializeToString())
        if key not in self._choices:
            self._choices[key] = self.writer.choice(self._several(message, depth))
        return self._choices[key]


def _key(envelope: sampler_pb2.Envelope, names: list[IndexName]) -> bytes:
    """Return what a linked index follows from: the shape, and the parts by content."""
    parts = "/".join(f"{name.index_id}@{name.revision}" for name in names)
    shape = envelope.shape.SerializeToString(deterministic=True)
    return sha256(sha256(shape).digest() + parts.encode()).digest()
