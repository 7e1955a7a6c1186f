"""Calling the C ABI of `src/ffi.rs`: handles that free themselves, buffers, errors.

Other threads run while the engine works: cffi gives the GIL back around each call.
"""

import json
from typing import Any, Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from formwork_engine._native import ffi, lib
from formwork_engine.errors import (
    CursorError,
    EngineError,
    IndexFormatError,
    LimitReachedError,
    MalformedError,
    TooLargeError,
    UnsupportedError,
    VocabularyError,
)

_KINDS: Final[dict[int, type[Exception]]] = {
    lib.IndexFormat: IndexFormatError,
    lib.Vocabulary: VocabularyError,
    lib.TokenNotAllowed: CursorError,
    lib.Failed: CursorError,
    lib.Busy: CursorError,
    lib.Argument: ValueError,
}


def owned(free: Any, make: Any, *arguments: Any) -> Any:  # noqa: ANN401 - cffi's
    """Return the handle that `make` gives out, to be freed with its last use.

    Raises:
        EngineError: By its kind, where it gives out none.
    """
    error = ffi.new("FormworkError **")
    handle = make(*arguments, error)
    if handle == ffi.NULL:
        raise_error(error[0])
    return ffi.gc(handle, free)


def copied(read: Any, handle: Any) -> bytes:  # noqa: ANN401 - cffi's
    """Return the bytes of a handle."""
    length = ffi.new("size_t *")
    data = read(handle, length)
    return bytes(ffi.buffer(data, length[0]))


def buffer(kind: str, array: NDArray[Any]) -> Any:  # noqa: ANN401 - cffi's
    """Return a pointer into an array, which keeps it alive.

    Raises:
        BufferError: The array is read-only.
    """
    return ffi.from_buffer(kind, array, require_writable=True)


def sized(ids: NDArray[np.uint32]) -> tuple[Any, int]:
    """Return a pointer into some ids, which keeps them alive, and how many there are."""
    return ffi.from_buffer("uint32_t[]", ids), len(ids)


def check_masks(out: NDArray[np.int32], words: int, *, dimensions: int) -> None:
    """Raise what is wrong with an array that masks shall be written to.

    Raises:
        ValueError: Its type, its shape, or that it is in pieces.
    """
    if out.dtype != np.int32 or out.ndim != dimensions or not out.flags.c_contiguous:
        raise ValueError(f"masks are a contiguous int32 array of {dimensions} dimensions")
    if out.shape[-1] < words:
        raise ValueError(f"a mask has {words} words, not {out.shape[-1]}")


def raise_error(error: Any) -> NoReturn:  # noqa: ANN401 - cffi's
    """Raise an error of the engine as Python says it, and free it."""
    raise error_of(error)


def error_of(error: Any) -> Exception:  # noqa: ANN401 - cffi's
    """Return an error of the engine as Python says it, and free it."""
    held = ffi.gc(error, lib.formwork_error_free)
    fields = json.loads(copied(lib.formwork_error_fields, held))
    status, message = lib.formwork_error_status(held), fields["message"]
    if status == lib.Malformed:
        return MalformedError(
            fields["reason"], pointer=fields["pointer"], keyword=fields["keyword"]
        )
    if status == lib.Unsupported:
        return UnsupportedError(fields["pointer"], fields["keyword"], fields["reason"])
    if status == lib.TooLarge:
        return TooLargeError(fields["limit"], fields["maximum"], fields["asked"])
    if status == lib.LimitReached:
        return LimitReachedError(fields["limit"], fields["maximum"])
    return _KINDS.get(status, EngineError)(message)
