"""Envelopes: what a model writes around the texts of indexes, and the indexes linked from them.

    call = Sequence((Text("<tool_call>"), Part(arguments), Text("</tool_call>")))
    index = link_index(Sequence((FreeText(), Repeat(call))), vocabulary)

Linking compiles nothing: the parts stay as they are, and whatever masks they have learnt serve
every index that they are a part of. A linked index goes from one process to another whole (`dump`,
`load`), or by its envelope and the content ids of its parts (`dump_links`, `load_linked`), for
receivers that hold the parts already: where one tool of a hundred has changed, one is sent.
"""

import struct
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from collections.abc import Sequence as Ordered
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple

from formwork_engine._native import ffi, lib
from formwork_engine.abi import copied, owned, raise_error
from formwork_engine.errors import TooLargeError
from formwork_engine.index import Index
from formwork_engine.vocabulary import Vocabulary

_DIGEST_BYTES: Final = 32
_MAX_DEPTH: Final = 64
_MAX_BYTES: Final = 4 << 20
_NO_LIMIT: Final = 0xFFFFFFFF
_NUMBER: Final = struct.Struct("<BI")
_NEXT_PART: Final = _NUMBER.pack(2, 0)


class _Written(NamedTuple):
    """A piece and all in it, in the layout of `engine/src/envelope_bytes.rs`."""

    data: bytes
    size: int
    """Pieces, itself included: it is the last one."""
    depth: int
    parts: tuple[Index, ...]


class Envelope(ABC):
    """A piece of an envelope, or a whole one. It is written once and then kept."""

    __slots__ = ("written",)
    written: _Written

    def __post_init__(self) -> None:
        """Write it.

        Raises:
            TooLargeError: It has too much in it.
            ValueError: A number that is negative or too large.
        """
        written = self.write()
        if written.depth > _MAX_DEPTH:
            raise TooLargeError("max_piece_depth", _MAX_DEPTH, written.depth)
        if len(written.data) > _MAX_BYTES:
            raise TooLargeError("max_envelope_bytes", _MAX_BYTES, len(written.data))
        object.__setattr__(self, "written", written)

    @abstractmethod
    def write(self) -> _Written:
        """Return it as bytes: what a piece of each kind has to say."""


@dataclass(frozen=True, slots=True)
class SpecialToken(Envelope):
    """A token that stands for no text. One that ends sequences stands last."""

    id: int

    def write(self) -> _Written:
        """Return it as bytes."""
        return _leaf(struct.pack("<BI", 0, _unsigned(self.id)))


@dataclass(frozen=True, slots=True)
class Text(Envelope):
    """Exactly this text."""

    text: str

    def write(self) -> _Written:
        """Return it as bytes."""
        return _leaf(b"\1" + _text(self.text))


@dataclass(frozen=True, slots=True)
class Part(Envelope):
    """A text of an index, linked or compiled."""

    index: Index

    def write(self) -> _Written:
        """Return it as bytes."""
        return _Written(struct.pack("<BI", 2, 0), 1, 1, (self.index,))


@dataclass(frozen=True, slots=True)
class FreeText(Envelope):
    """Any text of whole characters.

    With `until` it goes on until one of these texts is complete, however tokens split it, and that
    is its end; with `without` none of them occurs, and it may end anywhere.
    """

    until: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def write(self) -> _Written:
        """Return it as bytes.

        Raises:
            ValueError: It has both `until` and `without`.
        """
        if self.until and self.without:
            raise ValueError("free text goes until something, or is without something")
        triggers = self.until or self.without
        texts = b"".join(map(_text, triggers))
        return _leaf(struct.pack("<BBI", 3, bool(self.until), len(triggers)) + texts)


@dataclass(frozen=True, slots=True)
class Sequence(Envelope):
    """All of these, in order."""

    pieces: tuple[Envelope, ...]

    def write(self) -> _Written:
        """Return it as bytes."""
        return _several(4, self.pieces)


@dataclass(frozen=True, slots=True)
class Choice(Envelope):
    """One of these."""

    pieces: tuple[Envelope, ...]

    def write(self) -> _Written:
        """Return it as bytes."""
        return _several(5, self.pieces)


@dataclass(frozen=True, slots=True)
class Repeat(Envelope):
    """A piece several times: what is repeated is never empty."""

    piece: Envelope
    minimum: int = 0
    maximum: int | None = None

    def write(self) -> _Written:
        """Return it as bytes."""
        most = _NO_LIMIT if self.maximum is None else _unsigned(self.maximum)
        own = struct.pack("<BIII", 6, 1, _unsigned(self.minimum), most)
        data, size, depth, parts = self.piece.written
        return _Written(data + own, size + 1, depth + 1, parts)


def _leaf(data: bytes) -> _Written:
    return _Written(data, 1, 1, ())


def _several(kind: int, pieces: tuple[Envelope, ...]) -> _Written:
    """Return pieces one after the other, and behind them one that refers back to each."""
    written = [piece.written for piece in pieces]
    size = sum(one.size for one in written)
    back, last = [], size + 1
    for one in written:
        last -= one.size
        back.append(last)
    own = struct.pack(f"<BI{len(back)}I", kind, len(back), *back)
    return _Written(
        b"".join([*(one.data for one in written), own]),
        size + 1,
        1 + max((one.depth for one in written), default=0),
        tuple(chain.from_iterable(one.parts for one in written)),
    )


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<I", len(data)) + data


def _unsigned(number: int) -> int:
    if not 0 <= number < _NO_LIMIT:
        raise ValueError(f"{number} is not between 0 and {_NO_LIMIT}")
    return number


def link_index(envelope: Envelope, vocabulary: Vocabulary) -> Index:
    """Return the index of an envelope; its parts are shared, and nothing is compiled.

    Raises:
        MalformedError: It makes no sense; the pointer has the number of the piece.
        TooLargeError: A limit of envelopes.
        VocabularyError: A part is of another vocabulary.
    """
    data, size, _, parts = envelope.written
    return _link(struct.pack("<I", size) + data, parts, vocabulary)


class EnvelopeWriter:
    """Writes an envelope piece by piece, the whole last: for those that are made for a moment.

    Each method adds a piece and returns its number, by which pieces behind it refer to it; several
    may refer to one.
    """

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self._parts: list[Index] = []

    def special(self, token_id: int) -> int:
        """Add a token that stands for no text."""
        return self._add(_NUMBER.pack(0, token_id))

    def text(self, text: str) -> int:
        """Add literal text."""
        return self._add(b"\1" + _text(text))

    def part(self, index: Index) -> int:
        """Add a text of an index."""
        self._parts.append(index)
        return self._add(_NEXT_PART)

    def free(self, *, until: Iterable[str] = (), without: Iterable[str] = ()) -> int:
        """Add free text, as `FreeText` says it."""
        return self._add(FreeText(tuple(until), tuple(without)).written.data)

    def sequence(self, pieces: Collection[int]) -> int:
        """Add pieces in order."""
        return self._several(4, pieces)

    def choice(self, pieces: Collection[int]) -> int:
        """Add a choice of pieces."""
        return self._several(5, pieces)

    def branches(
        self,
        texts: Ordered[str],
        between: Ordered[int],
        parts: Ordered[Index],
        after: Ordered[int],
    ) -> int:
        """Add a choice of sequences that differ in a text and a part alone.

        Args:
            texts: What each begins with.
            between: Pieces that each has behind it.
            parts: What each has then.
            after: Pieces that each ends with.

        Raises:
            ValueError: Not as many parts as texts, or a piece that is not there.
        """
        for piece in (*between, *after):
            self._back(piece)
        count, first = 2 + len(between) + len(after), len(self._written)
        layout = struct.Struct(f"<BI{count}I")
        for text, _ in zip(texts, parts, strict=True):
            here = len(self._written) + 2
            back = (2, *(here - piece for piece in between), 1, *(here - piece for piece in after))
            self._written += (b"\1" + _text(text), _NEXT_PART, layout.pack(4, count, *back))
        self._parts += parts
        return self.choice(range(first + 2, len(self._written), 3))

    def repeat(self, piece: int, minimum: int = 0, maximum: int | None = None) -> int:
        """Add a piece several times."""
        most = _NO_LIMIT if maximum is None else maximum
        return self._add(struct.pack("<BIII", 6, self._back(piece), minimum, most))

    def link(self, vocabulary: Vocabulary) -> Index:
        """Return the index of what was written; raises as `link_index` does."""
        structure = struct.pack("<I", len(self._written)) + b"".join(self._written)
        return _link(structure, self._parts, vocabulary)

    def _several(self, kind: int, pieces: Collection[int]) -> int:
        back = [self._back(piece) for piece in pieces]
        return self._add(struct.pack(f"<BI{len(back)}I", kind, len(back), *back))

    def _back(self, piece: int) -> int:
        """Return how many pieces back one is from the next.

        Raises:
            ValueError: It is not there.
        """
        if not 0 <= piece < len(self._written):
            raise ValueError(f"there is no piece {piece}")
        return len(self._written) - piece

    def _add(self, data: bytes) -> int:
        self._written.append(data)
        return len(self._written) - 1


def _link(structure: bytes, parts: Iterable[Index], vocabulary: Vocabulary) -> Index:
    handles = [part.handle for part in parts]
    handle = owned(
        lib.formwork_index_free,
        lib.formwork_index_link,
        vocabulary.handle,
        ffi.from_buffer(structure),
        len(structure),
        ffi.new("FormworkIndex *[]", handles),
        len(handles),
    )
    return Index(handle, vocabulary)


def load_parts(dumps: Collection[bytes], vocabulary: Vocabulary) -> list[Index]:
    """Return indexes that are to be parts of envelopes, all loaded in one call.

    Their first masks are worked out when a text comes to them.

    Raises:
        IndexFormatError, EngineError: As `Index.load`, for any of them.
    """
    data, handles = b"".join(dumps), ffi.new("FormworkIndex *[]", len(dumps))
    error = ffi.new("FormworkError **")
    status = lib.formwork_index_load_parts(
        vocabulary.handle,
        ffi.from_buffer(data),
        len(data),
        ffi.new("size_t[]", [len(dump) for dump in dumps]),
        len(dumps),
        handles,
        error,
    )
    if status:
        raise_error(error[0])
    return [Index(ffi.gc(handle, lib.formwork_index_free), vocabulary) for handle in handles]


def dump_links(index: Index) -> bytes:
    """Return an index as `load_linked` takes it: a linked one without its parts."""
    made = owned(lib.formwork_bytes_free, lib.formwork_index_dump_links, index.handle)
    return copied(lib.formwork_bytes_data, made)


def parts_of(data: bytes, vocabulary: Vocabulary) -> tuple[bytes, ...]:
    """Return the content ids of the parts that `load_linked` needs for what `dump_links` wrote.

    Raises:
        IndexFormatError: Not an index, damaged, or of another engine version or vocabulary.
    """
    made = owned(
        lib.formwork_bytes_free,
        lib.formwork_index_links,
        vocabulary.handle,
        ffi.from_buffer(data),
        len(data),
    )
    ids = copied(lib.formwork_bytes_data, made)
    return tuple(ids[at : at + _DIGEST_BYTES] for at in range(0, len(ids), _DIGEST_BYTES))


def load_linked(data: bytes, vocabulary: Vocabulary, parts: Iterable[Index]) -> Index:
    """Return the index that `dump_links` wrote, its parts found by content among some indexes.

    Raises:
        IndexFormatError: As `Index.load`; a part is missing.
    """
    handles = [part.handle for part in parts]
    handle = owned(
        lib.formwork_index_free,
        lib.formwork_index_load_linked,
        vocabulary.handle,
        ffi.from_buffer(data),
        len(data),
        ffi.new("FormworkIndex *[]", handles),
        len(handles),
    )
    return Index(handle, vocabulary)


def content_id(index: Index) -> bytes:
    """Return the SHA-256 of what an index was made from, whatever it has learnt since."""
    digest = ffi.new("uint8_t[]", _DIGEST_BYTES)
    lib.formwork_index_content_id(index.handle, digest)
    return bytes(ffi.buffer(digest))
