"""One sequence's place in an index."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from formwork_engine._native import ffi, lib
from formwork_engine.abi import buffer, check_masks, error_of, owned, raise_error
from formwork_engine.errors import CursorError
from formwork_engine.vocabulary import Vocabulary

_NO_TOKEN: Final = 0xFFFFFFFF
_UNKNOWN: Final = 0xFFFFFFFF
_mask, _advance = lib.formwork_cursor_mask, lib.formwork_cursor_advance


class Cursor:
    """Where one sequence stands: which tokens may come next, and what is forced.

    Made by `Index.cursor`. Of two threads that use it at once, the second gets an error and changes
    nothing. A cursor that has failed, by a token outside its mask or by a limit, stays failed
    and says why.
    """

    def __init__(self, handle: Any, vocabulary: Vocabulary) -> None:  # noqa: ANN401 - cffi's
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
        """Why the cursor has failed; None while it has not."""
        error = lib.formwork_cursor_error(self.handle)
        return None if error == ffi.NULL else str(error_of(error))

    def check(self) -> None:
        """Raise what the cursor has failed of, if it has.

        Raises:
            CursorError: By its kind.
        """
        error = lib.formwork_cursor_error(self.handle)
        if error != ffi.NULL:
            raise_error(error)

    @property
    def shortest_end_tokens(self) -> int | None:
        """Tokens that a short ending takes from here, without the end token; None: none is known.

        Raises:
            CursorError: The cursor has failed.
        """
        tokens = ffi.new("uint32_t *")
        status = lib.formwork_cursor_shortest_end(self.handle, tokens)
        if status:
            self._raise_failure(status)
        return None if tokens[0] == _UNKNOWN else max(int(tokens[0]) - 1, 0)

    def fill_mask(self, out: NDArray[np.int32]) -> None:
        """Write which tokens may come next.

        Args:
            out: Shape (at least `vocabulary.words`,), int32, contiguous; bit i % 32 of word i // 32
                is token i. Words and bits beyond the vocabulary become 0.

        Raises:
            CursorError: The cursor has failed, now or earlier; the mask is 0.
        """
        if out is not self._row:  # asking numpy for a pointer costs as much as a small mask
            check_masks(out, self.vocabulary.words, dimensions=1)
            self._row, self._pointer = out, buffer("uint32_t[]", out)
        status = _mask(self.handle, self._pointer, len(self._pointer))
        if status:
            self._raise_failure(status)

    def advance(self, token_id: int) -> None:
        """Move on by one token of the mask.

        Raises:
            CursorError: The token is not in the mask, which fails the cursor; or it had failed.
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
            CursorError: There are not that many, which fails the cursor; or it had failed.
        """
        if count < 0:
            raise CursorError(f"cannot take back {count} tokens")
        status = lib.formwork_cursor_rollback(self.handle, count)
        if status:
            self._raise_failure(status)

    def forced(self) -> tuple[int, ...]:
        """Return the tokens that must come next, as the tokenizer would write them; () if unknown.

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
        check_masks(out, self.vocabulary.words, dimensions=2)
        if len(out) != len(draft) + 1:
            raise ValueError(f"{len(draft) + 1} rows for a draft of {len(draft)}, not {len(out)}")
        tokens, accepted = ffi.new("uint32_t[]", list(draft)), ffi.new("size_t *")
        rows, words = buffer("uint32_t[]", out), out.shape[1]
        status = lib.formwork_cursor_draft_masks(
            self.handle, tokens, len(draft), rows, words, accepted
        )
        if status:
            self._raise_failure(status)
        return int(accepted[0])

    def close_within(self, tokens: int) -> bool:
        """Have the answer end within so many tokens, the end token counted.

        From then on, a token that leaves no room for an ending fails the cursor: ask `leaves_room`
        before it is taken. A cursor that is taken back behind this place forgets it.

        Returns:
            Whether an ending that fits is known; if not, nothing changes.

        Raises:
            CursorError: The cursor has failed.
        """
        fits = ffi.new("int32_t *")
        status = lib.formwork_cursor_close_within(self.handle, tokens, fits)
        if status:
            self._raise_failure(status)
        return bool(fits[0])

    def leaves_room(self, token_id: int) -> bool:
        """Return whether a token of the mask can be taken by an answer that shall end in time.

        Raises:
            CursorError: The cursor has failed.
        """
        leaves = ffi.new("int32_t *")
        status = lib.formwork_cursor_leaves_room(self.handle, token_id, leaves)
        if status:
            self._raise_failure(status)
        return bool(leaves[0])

    def fill_closing_mask(self, out: NDArray[np.int32]) -> None:
        """Write tokens of the mask that leave room for an ending: not all, but always one.

        Args:
            out: As of `fill_mask`.

        Raises:
            CursorError: The cursor has failed, now or earlier; the mask is 0.
        """
        check_masks(out, self.vocabulary.words, dimensions=1)
        status = lib.formwork_cursor_closing_mask(
            self.handle, buffer("uint32_t[]", out), out.shape[0]
        )
        if status:
            self._raise_failure(status)

    def fork(self) -> "Cursor":
        """Return an independent cursor at the same place.

        Raises:
            CursorError: The cursor has failed.
        """
        handle = owned(lib.formwork_cursor_free, lib.formwork_cursor_fork, self.handle)
        return Cursor(handle, self.vocabulary)

    def error_of(self, status: int) -> Exception:
        """Return why a call that gave a status, not `Ok`, did not do what it says."""
        if status == lib.Busy:
            return CursorError("another thread uses the cursor")
        return error_of(lib.formwork_cursor_error(self.handle))

    def _raise_failure(self, status: int) -> NoReturn:
        raise self.error_of(status)


def advance_all(
    cursors: Sequence[Cursor], tokens: Sequence[int], threads: int = 1
) -> list[int | Exception]:
    """Move many cursors on, each by one token of its mask, and return what became of each.

    Args:
        cursors: Each once.
        tokens: Of each one, below 2**32.
        threads: To compute on.

    Returns:
        How many tokens are forced behind it; or why the cursor has failed, which touches no other.
    """
    count = len(cursors)
    if len(tokens) != count:
        raise ValueError(f"{count} cursors, {len(tokens)} tokens")
    forced, statuses = ffi.new("size_t[]", count), ffi.new("int32_t[]", count)
    handles = ffi.new("FormworkCursor *[]", [cursor.handle for cursor in cursors])
    taken = ffi.new("uint32_t[]", tokens)
    if lib.formwork_advance_all(handles, taken, count, threads, forced, statuses):
        raise ValueError("a handle that is none")
    moved: list[int | Exception] = ffi.unpack(forced, count)
    for place, status in enumerate(ffi.unpack(statuses, count)):
        if status:
            moved[place] = cursors[place].error_of(status)
    return moved


class MaskStatus(StrEnum):
    """What became of one row of a batch."""

    WRITTEN = "written"
    LATER = "later"
    FAILED = "failed"


_MASK_STATUSES: Final = {lib.Ok: MaskStatus.WRITTEN, lib.Later: MaskStatus.LATER}
_ALL_FUEL: Final = 2**64 - 1


def fill_masks(
    cursors: Sequence[Cursor],
    rows: Sequence[int],
    out: NDArray[np.int32],
    threads: int = 1,
    step_fuel: int | None = None,
) -> list[MaskStatus]:
    """Write the masks of many cursors, and return what became of each.

    A cursor that fails gets an all-zero row and says why in `failure`; the others are not touched
    by it.

    Args:
        cursors: Of one vocabulary; each once. Failed and finished ones get zero rows.
        rows: The row of each; others are left alone.
        out: Shape (batch, at least words), int32, contiguous.
        threads: To compute on.
        step_fuel: Work of one mask; all together may take five times that. A cursor that needs more
            gets an all-zero row and is `LATER`: its mask is finished on another thread, and a later
            call finds it, or the cursor failed after its whole `mask_fuel`. None: every mask is
            finished here.
    """
    if len(cursors) != len(rows):
        raise ValueError(f"{len(cursors)} cursors, {len(rows)} rows")
    check_masks(out, max((c.vocabulary.words for c in cursors), default=0), dimensions=2)
    statuses = ffi.new("int32_t[]", len(cursors))
    status = lib.formwork_fill_masks_within(
        ffi.new("FormworkCursor *[]", [cursor.handle for cursor in cursors]),
        ffi.new("size_t[]", list(rows)),
        len(cursors),
        buffer("uint32_t[]", out),
        *out.shape,
        threads,
        _ALL_FUEL if step_fuel is None else step_fuel,
        statuses,
    )
    if status:
        raise ValueError("each cursor has a row of its own")
    return [_MASK_STATUSES.get(status, MaskStatus.FAILED) for status in statuses]
