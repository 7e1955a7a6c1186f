"""The native engine: vocabulary → index → cursor, over the C ABI of `src/ffi.rs`.

    vocabulary = NativeVocabulary(tokens, special_ids=[...], end_ids=[...])
    index = NativeIndex.compile(JsonSchema(text), vocabulary)
    cursor = index.cursor()
    cursor.fill_mask(mask)      # which tokens may come next
    cursor.advance(token_id)

Other threads run while the engine works: cffi gives the GIL back around each call. Vocabularies and
indexes may be used by many at once; a cursor that two use at once fails the second call and is
otherwise left alone.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from formwork_engine._native import ffi, lib
from formwork_engine.errors import (
    CursorError,
    EngineError,
    IndexFormatError,
    MalformedError,
    TooLargeError,
    UnsupportedError,
    VocabularyError,
)
from formwork_engine.inputs import AnyJson, GrammarInput, JsonSchema, Lark, Regex

_FINGERPRINT_BYTES: Final = 32
_NO_TOKEN: Final = 0xFFFFFFFF
_mask, _advance = lib.formwork_cursor_mask, lib.formwork_cursor_advance


class NativeVocabulary:
    """The bytes that each token id stands for, and which of them end. Immutable.

    Args:
        tokens: Bytes by id; empty for ids that stand for no text.
        special_ids: Ids that no text of a grammar may use.
        end_ids: Ids that end a sequence; special.

    Raises:
        VocabularyError: No end id, or an id outside the tokens.
        TooLargeError: Too many tokens, or too long ones.
    """

    def __init__(
        self, tokens: Sequence[bytes], *, special_ids: Iterable[int], end_ids: Iterable[int]
    ) -> None:
        text = b"".join(tokens)
        lengths = _buffer("uint32_t[]", np.array([len(token) for token in tokens], dtype=np.uint32))
        special, end = (ffi.new("uint32_t[]", sorted(ids)) for ids in (special_ids, end_ids))
        self.handle = _owned(
            lib.formwork_vocabulary_free,
            lib.formwork_vocabulary_new,
            ffi.from_buffer(text),
            len(text),
            lengths,
            len(tokens),
            special,
            len(special),
            end,
            len(end),
        )
        self.size = len(tokens)
        """Number of ids, holes and special ones included."""
        self.words = int(lib.formwork_vocabulary_words(self.handle))
        """Number of 32-bit words of a mask."""

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, hexadecimal, of everything that a mask or a decoded text depends on."""
        digest = ffi.new("uint8_t[]", _FINGERPRINT_BYTES)
        lib.formwork_vocabulary_fingerprint(self.handle, digest)
        return bytes(ffi.buffer(digest)).hex()


@dataclass(frozen=True)
class NativeOptions:
    """What the answer's text looks like, and what a compile may cost; 0: the engine's default."""

    max_whitespace: int | None = None
    """Characters between the tokens of JSON; None: nowhere any."""
    item_spaces: int = 0
    """Spaces after each comma; read without `max_whitespace`."""
    key_spaces: int = 0
    """Spaces after each colon; read without `max_whitespace`."""
    any_order: bool = False
    """Properties may stand in any order."""
    all_spellings: bool = False
    """A value may be spelt in all its ways."""
    format_assertion: bool = True
    """`format` is enforced."""
    remotes: Mapping[str, bytes] = field(default_factory=dict)
    """What remote references mean: JSON text by URI."""
    max_bytes: int = 0
    """Of the grammar, as UTF-8."""
    max_depth: int = 0
    """Nesting of the grammar."""
    compile_fuel: int = 0
    """Work of one compile."""
    mask_fuel: int = 0
    """Work of one mask."""

    @cached_property
    def arguments(self) -> "_Arguments":
        """The same as the C ABI takes it."""
        texts, remotes = [], []
        for uri, schema in self.remotes.items():
            name, text = (ffi.from_buffer(data) for data in (uri.encode(), schema))
            texts += [name, text]
            remotes.append((name, len(name), text, len(text)))
        array = ffi.new("FormworkRemote[]", remotes)
        options = {
            "is_whitespace_bounded": self.max_whitespace is not None,
            "max_whitespace": self.max_whitespace or 0,
            "item_spaces": self.item_spaces,
            "key_spaces": self.key_spaces,
            "any_order": self.any_order,
            "all_spellings": self.all_spellings,
            "format_assertion": self.format_assertion,
            "remotes": array,
            "remote_count": len(array),
            "max_bytes": self.max_bytes,
            "max_depth": self.max_depth,
            "compile_fuel": self.compile_fuel,
            "mask_fuel": self.mask_fuel,
        }
        return _Arguments(ffi.new("FormworkOptions *", options), (array, *texts))


class _Arguments(NamedTuple):
    """A C structure, and what it points to."""

    pointer: Any
    keeps: tuple[Any, ...]


class NativeIndex:
    """A grammar compiled for a vocabulary: immutable, shareable between threads.

    Made by `NativeIndex.compile` or `NativeIndex.load`.
    """

    def __init__(self, handle: Any, vocabulary: NativeVocabulary) -> None:  # noqa: ANN401 - cffi's
        self.handle = handle
        self.vocabulary = vocabulary

    @classmethod
    def compile(
        cls,
        grammar: GrammarInput,
        vocabulary: NativeVocabulary,
        options: NativeOptions | None = None,
    ) -> "NativeIndex":
        """Return the index of a grammar.

        Raises:
            MalformedError: Not a schema, expression or grammar.
            UnsupportedError: It says something that cannot be enforced.
            TooLargeError: A limit of the options.
        """
        kind, text = _kind_and_text(grammar)
        arguments = (options or _DEFAULTS).arguments
        handle = _owned(
            lib.formwork_index_free,
            lib.formwork_index_compile,
            vocabulary.handle,
            kind,
            ffi.from_buffer(text),
            len(text),
            arguments.pointer,
        )
        return cls(handle, vocabulary)

    @classmethod
    def load(cls, data: bytes, vocabulary: NativeVocabulary) -> "NativeIndex":
        """Return the index that `dump` wrote.

        Raises:
            IndexFormatError: Not an index, damaged, or of another engine version or vocabulary.
            EngineError: What its grammar is refused for: a compiler never wrote these bytes.
        """
        handle = _owned(
            lib.formwork_index_free,
            lib.formwork_index_load,
            vocabulary.handle,
            ffi.from_buffer(data),
            len(data),
        )
        return cls(handle, vocabulary)

    def dump(self) -> bytes:
        """Return the index as bytes that `load` takes: versioned and checked."""
        made = _owned(lib.formwork_bytes_free, lib.formwork_index_dump, self.handle)
        return _copied(lib.formwork_bytes_data, made)

    def fill(self, seconds: float) -> None:
        """Compute masks ahead, for about so long."""
        error = ffi.new("FormworkError **")
        if lib.formwork_index_fill(self.handle, round(seconds * 1000), error):
            _raise(error[0])

    def cursor(self) -> "NativeCursor":
        """Return a cursor at the start."""
        handle = _owned(lib.formwork_cursor_free, lib.formwork_index_cursor, self.handle)
        return NativeCursor(handle, self.vocabulary)


class NativeCursor:
    """Where one sequence stands: which tokens may come next, and what is forced.

    Made by `NativeIndex.cursor`. A cursor that has failed stays failed and says why.
    """

    def __init__(self, handle: Any, vocabulary: NativeVocabulary) -> None:  # noqa: ANN401 - cffi's
        self.handle = handle
        self.vocabulary = vocabulary
        self._row: NDArray[np.int32] | None = None
        self._pointer: Any = None

    @property
    def may_end(self) -> bool:
        """The text so far is a whole answer: exactly then the end ids are in the mask."""
        return bool(lib.formwork_cursor_state(self.handle) & lib.MayEnd)

    @property
    def is_finished(self) -> bool:
        """The sequence has ended with an end token."""
        return bool(lib.formwork_cursor_state(self.handle) & lib.IsEnded)

    @property
    def failure(self) -> str | None:
        """Why the last thing that the cursor refused was refused; None if nothing was."""
        error = lib.formwork_cursor_error(self.handle)
        return None if error == ffi.NULL else str(_error_of(error))

    def fill_mask(self, out: NDArray[np.int32]) -> None:
        """Write which tokens may come next.

        Args:
            out: Shape (at least `vocabulary.words`,), int32, contiguous; bit i % 32 of word i // 32
                is token i. Words and bits beyond the vocabulary become 0.

        Raises:
            CursorError: The cursor has failed, now or earlier; the mask is 0.
        """
        if out is not self._row:  # asking numpy for a pointer costs as much as a small mask
            _check_masks(out, self.vocabulary, dimensions=1)
            self._row, self._pointer = out, _buffer("uint32_t[]", out)
        status = _mask(self.handle, self._pointer, len(self._pointer))
        if status:
            self._raise_failure(status)

    def advance(self, token_id: int) -> None:
        """Move on by one token of the mask.

        Raises:
            CursorError: The token is not in the mask, or the cursor has failed.
        """
        try:
            status = _advance(self.handle, token_id)
        except OverflowError:  # no token of any vocabulary
            status = _advance(self.handle, _NO_TOKEN)
        if status:
            self._raise_failure(status)

    def rollback(self, count: int) -> None:
        """Take back the last `count` tokens.

        Raises:
            CursorError: There are not that many, or the cursor has failed.
        """
        if count < 0:
            raise CursorError(f"cannot take back {count} tokens")
        status = lib.formwork_cursor_rollback(self.handle, count)
        if status:
            self._raise_failure(status)

    def forced(self) -> tuple[int, ...]:
        """Return the tokens that must come next, as the tokenizer would write them.

        Raises:
            CursorError: The cursor has failed.
        """
        room = 64
        while True:
            out, count = ffi.new("uint32_t[]", room), ffi.new("size_t *")
            status = lib.formwork_cursor_forced(self.handle, out, room, count)
            if status:
                self._raise_failure(status)
            if count[0] <= room:
                return tuple(out[0 : count[0]])
            room = count[0]

    def masks(self, draft: Sequence[int], out: NDArray[np.int32]) -> int:
        """Write the mask here and after each token of a draft; return how many are allowed.

        The cursor stays where it is. Rows after the first token that is not allowed become 0.

        Args:
            draft: Token ids.
            out: Shape (len(draft) + 1, at least `vocabulary.words`), int32, contiguous.

        Raises:
            CursorError: The cursor has failed, now or earlier.
        """
        _check_masks(out, self.vocabulary, dimensions=2)
        if len(out) != len(draft) + 1:
            raise ValueError(f"{len(draft) + 1} rows for a draft of {len(draft)}, not {len(out)}")
        tokens, accepted = ffi.new("uint32_t[]", list(draft)), ffi.new("size_t *")
        rows, words = _buffer("uint32_t[]", out), out.shape[1]
        status = lib.formwork_cursor_draft_masks(
            self.handle, tokens, len(draft), rows, words, accepted
        )
        if status:
            self._raise_failure(status)
        return int(accepted[0])

    def fork(self) -> "NativeCursor":
        """Return an independent cursor at the same place.

        Raises:
            CursorError: The cursor has failed.
        """
        handle = _owned(lib.formwork_cursor_free, lib.formwork_cursor_fork, self.handle)
        return NativeCursor(handle, self.vocabulary)

    def _raise_failure(self, status: int) -> NoReturn:
        if status == lib.Busy:
            raise CursorError("another thread uses the cursor")
        _raise(lib.formwork_cursor_error(self.handle))


def fill_masks(
    cursors: Sequence[NativeCursor],
    rows: Sequence[int],
    out: NDArray[np.int32],
    threads: int = 1,
) -> None:
    """Write the masks of many cursors.

    A cursor that fails gets an all-zero row and says why in `failure`; the others are not touched
    by it.

    Args:
        cursors: Of one vocabulary; each once.
        rows: The row of each; others are left alone.
        out: Shape (batch, at least words), int32, contiguous.
        threads: To compute on.
    """
    if len(cursors) != len(rows):
        raise ValueError(f"{len(cursors)} cursors, {len(rows)} rows")
    for vocabulary in {cursor.vocabulary for cursor in cursors}:
        _check_masks(out, vocabulary, dimensions=2)
    status = lib.formwork_fill_masks(
        ffi.new("FormworkCursor *[]", [cursor.handle for cursor in cursors]),
        ffi.new("size_t[]", list(rows)),
        len(cursors),
        _buffer("uint32_t[]", out),
        *out.shape,
        threads,
        ffi.new("int32_t[]", len(cursors)),
    )
    if status:
        raise ValueError("each cursor has a row of its own")


def _kind_and_text(grammar: GrammarInput) -> tuple[int, bytes]:
    match grammar:
        case JsonSchema(text=text):
            return lib.JsonSchema, text.encode(errors="surrogatepass")
        case AnyJson(object_only=True):
            return lib.JsonSchema, b'{"type":"object"}'
        case AnyJson():
            return lib.AnyJson, b""
        case Regex(pattern=pattern):
            return lib.Regex, pattern.encode(errors="surrogatepass")
        case Lark(definition=definition):
            return lib.Lark, definition.encode(errors="surrogatepass")


def _owned(free: Any, make: Any, *arguments: Any) -> Any:  # noqa: ANN401 - cffi's
    """Return a handle that frees itself."""
    error = ffi.new("FormworkError **")
    handle = make(*arguments, error)
    if handle == ffi.NULL:
        _raise(error[0])
    return ffi.gc(handle, free)


def _copied(read: Any, handle: Any) -> bytes:  # noqa: ANN401 - cffi's
    length = ffi.new("size_t *")
    data = read(handle, length)
    return bytes(ffi.buffer(data, length[0]))


def _buffer(kind: str, array: NDArray[Any]) -> Any:  # noqa: ANN401 - cffi's
    """Return a pointer into an array, which keeps it alive.

    Raises:
        BufferError: The array is read-only.
    """
    return ffi.from_buffer(kind, array, require_writable=True)


def _check_masks(out: NDArray[np.int32], vocabulary: NativeVocabulary, *, dimensions: int) -> None:
    if out.dtype != np.int32 or out.ndim != dimensions or not out.flags.c_contiguous:
        raise ValueError(f"masks are a contiguous int32 array of {dimensions} dimensions")
    if out.shape[-1] < vocabulary.words:
        raise ValueError(f"a mask has {vocabulary.words} words, not {out.shape[-1]}")


def _raise(error: Any) -> NoReturn:  # noqa: ANN401 - cffi's
    raise _error_of(error)


def _error_of(error: Any) -> Exception:  # noqa: ANN401 - cffi's
    """Return an error of the engine as Python says it, and free it."""
    owned = ffi.gc(error, lib.formwork_error_free)
    fields = json.loads(_copied(lib.formwork_error_fields, owned))
    status, message = lib.formwork_error_status(owned), fields["message"]
    if status == lib.Malformed:
        return MalformedError(
            fields["reason"], pointer=fields["pointer"], keyword=fields["keyword"]
        )
    if status == lib.Unsupported:
        return UnsupportedError(fields["pointer"], fields["keyword"], fields["reason"])
    if status == lib.TooLarge:
        return TooLargeError(fields["limit"], fields["maximum"], fields["asked"])
    return _KINDS.get(status, EngineError)(message)


_KINDS: dict[int, type[Exception]] = {
    lib.IndexFormat: IndexFormatError,
    lib.Vocabulary: VocabularyError,
    lib.TokenNotAllowed: CursorError,
    lib.OutOfFuel: CursorError,
    lib.Failed: CursorError,
    lib.Busy: CursorError,
    lib.Argument: ValueError,
}
_DEFAULTS = NativeOptions()
