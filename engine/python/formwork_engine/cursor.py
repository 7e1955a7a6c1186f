"""One sequence's place in an index."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from formwork_engine import _llguidance
from formwork_engine.errors import CursorError
from formwork_engine.inputs import Budget
from formwork_engine.unique_keys import START, KeyRule, follow
from formwork_engine.vocabulary import Vocabulary

_MAX_RECOVERIES: Final = 3


class Cursor:
    """Where one sequence stands: which tokens may come next, and what is forced.

    Made by `Index.cursor`. Not safe for use by two threads at once. A cursor that has failed, by a
    token outside its mask or by running out of fuel, stays failed and says why.
    """

    def __init__(
        self,
        matcher: Any,  # noqa: ANN401 - untyped library
        vocabulary: Vocabulary,
        keys: KeyRule | None,
        reopen: Callable[[], Any],
    ) -> None:
        self._matcher = matcher
        self._reopen = reopen
        self._recoveries = 0
        self._written: list[int] = []
        """The tokens of text so far."""
        self._vocabulary = vocabulary
        self._keys = keys
        self._key_states = [START]
        """After each token of text, where the text is JSON."""
        self._advanced = 0
        self._finished = False
        self._failure: str | None = None
        self._promised: tuple[int, ...] = ()

    @property
    def is_running(self) -> bool:
        """It has neither failed nor ended."""
        return self._failure is None and not self._finished

    @property
    def words(self) -> int:
        """32-bit words of its vocabulary's masks."""
        return self._vocabulary.words

    @property
    def matcher(self) -> Any:  # noqa: ANN401 - untyped library
        """The library's side of it: for the batch forms of this package."""
        return self._matcher

    @property
    def failure(self) -> str | None:
        """Why the cursor has failed; None while it has not."""
        return self._failure

    @property
    def is_finished(self) -> bool:
        """The sequence has ended with an end token."""
        return self._finished

    @property
    def may_end(self) -> bool:
        """The text so far is a whole answer: exactly then the end ids are in the mask."""
        return not self._finished and self._failure is None and bool(self._matcher.is_accepting())

    @property
    def shortest_end_tokens(self) -> int | None:
        """Tokens of the shortest ending from here; None: this engine cannot tell."""
        return 0 if self.may_end else None

    def fill_mask(self, out: NDArray[np.int32]) -> None:
        """Write which tokens may come next.

        Args:
            out: Shape (at least `vocabulary.words`,), int32, contiguous; bit i % 32 of word i // 32
                is token i. Words and bits beyond the vocabulary become 0.

        Raises:
            CursorError: The cursor has failed, now or earlier.
        """
        self.finish_mask(out, is_computed=False)

    def finish_mask(self, out: NDArray[np.int32], *, is_computed: bool) -> None:
        """Do what `fill_mask` does, where the library may have filled `out` already."""
        row = _checked_row(out, self._vocabulary)
        self._check_usable()
        if not is_computed:
            _llguidance.fill_mask(self._matcher, row[: self._vocabulary.words])
        self._settle_row(row)

    def advance(self, token_id: int) -> None:
        """Move on by one token of the mask.

        Raises:
            CursorError: The token is not in the mask, which fails the cursor; or it had failed.
        """
        self._check_usable()
        if self._finished:
            raise self._fail(f"token {token_id} after the end")
        if token_id in self._vocabulary.end_ids and self.may_end:
            self._finished = True
        elif not self._consume(token_id):
            raise self._fail(f"token {token_id} is not allowed here")
        self._promised = self._promised[1:]
        self._advanced += 1

    def forced(self) -> tuple[int, ...]:
        """Return the tokens that must come next, as the tokenizer would write them; () if unknown.

        Raises:
            CursorError: The cursor has failed.
        """
        self._check_usable()
        if self._finished:
            return ()
        if not self._promised:
            tokens = tuple(self._matcher.compute_ff_tokens())
            if self._matcher.is_error() and self._recover():
                tokens = tuple(self._matcher.compute_ff_tokens())
            self._promised = tokens if self._may_follow(tokens) else ()
        return self._promised

    def rollback(self, count: int) -> None:
        """Take back the last `count` tokens.

        Raises:
            CursorError: There are not that many, or the cursor has failed.
        """
        self._check_usable()
        if not 0 <= count <= self._advanced:
            raise CursorError(f"cannot take back {count} of {self._advanced} tokens")
        text_tokens = count - 1 if self._finished and count else count
        if text_tokens and not self._matcher.rollback(text_tokens):
            raise self._fail("rollback failed")
        if text_tokens:
            del self._written[-text_tokens:]
            del self._key_states[-text_tokens:]
        self._finished = self._finished and not count
        self._advanced -= count
        self._promised = () if count else self._promised

    def fork(self) -> "Cursor":
        """Return an independent cursor at the same place."""
        other = Cursor(self._matcher.deep_copy(), self._vocabulary, self._keys, self._reopen)
        other._recoveries = self._recoveries
        other._written = list(self._written)
        other._key_states = list(self._key_states)
        other._advanced = self._advanced
        other._finished = self._finished
        other._failure = self._failure
        other._promised = self._promised
        return other

    def raise_failure(self, budget: Budget) -> None:
        """Raise, as an error about the grammar, why the cursor failed if its grammar is why.

        Raises:
            EngineError: By its kind.
        """
        _llguidance.raise_failure(self._matcher, budget)

    def _consume(self, token_id: int) -> bool:
        if not self._is_in_mask(token_id):
            return False
        state = self._key_states[-1]
        if self._keys is not None:
            after = follow(state, self._vocabulary.token_bytes(token_id))
            if after is None:
                return False
            state = after
        is_consumed = self._matcher.consume_token(token_id)
        if not is_consumed and self._recover():
            is_consumed = self._matcher.consume_token(token_id)
        if not is_consumed:
            return False
        self._key_states.append(state)
        self._written.append(token_id)
        return True

    def _recover(self) -> bool:
        """Return whether the cursor stands where it stood, on a lexer of its own.

        All cursors of an index share a lexer that remembers every state it was in, within a
        budget. Whoever finds that spent, by whichever cursor, starts afresh: one sequence cannot
        fail the others.
        """
        if self._recoveries >= _MAX_RECOVERIES or not _llguidance.is_spent(self._matcher):
            return False
        self._recoveries += 1
        matcher = self._reopen()
        if self._written and not matcher.consume_tokens(self._written):
            return False
        self._matcher = matcher
        return True

    def _may_follow(self, tokens: Sequence[int]) -> bool:
        """Return whether a run is text, and repeats no key."""
        if not all(map(self._is_text, tokens)):
            return False
        text = self._vocabulary.decode(tokens)
        return self._keys is None or follow(self._key_states[-1], text) is not None

    def _is_in_mask(self, token_id: int) -> bool:
        """Return whether a forced run, where there is one, begins with the token.

        Inside one the mask is the one canonical token, while the matcher takes any that spells the
        same text; `consume_token` judges the rest.
        """
        if not self._is_text(token_id):
            return False
        forced = self.forced()
        return not forced or forced[0] == token_id

    def _is_text(self, token_id: int) -> bool:
        return 0 <= token_id < self._vocabulary.size and bool(
            self._vocabulary.token_bytes(token_id)
        )

    def _check_usable(self) -> None:
        if self._failure is not None:
            raise CursorError(self._failure)

    def _fail(self, reason: str) -> CursorError:
        detail = _llguidance.error_text(self._matcher) if self._matcher.is_error() else ""
        self._failure = f"{reason}: {detail}" if detail else reason
        return CursorError(self._failure)

    def _settle_row(self, row: NDArray[np.int32]) -> None:
        """Allow text only where the library allows it, and end ids exactly where one may end."""
        words = self._vocabulary.words
        row[words:] = 0
        if self._finished:
            row[:] = 0
            return
        if self._matcher.is_error() and self._recover():
            _llguidance.fill_mask(self._matcher, row[:words])
        if self._matcher.is_error():
            row[:] = 0
            raise self._fail("no mask")
        row[:words] &= self._vocabulary.text_mask
        if self._keys is not None:
            self._keys.drop_repeats(self._key_states[-1], row)
        if self.may_end:
            row[:words] |= self._vocabulary.end_mask
        if not row.any():
            raise self._fail("no token is allowed here")


def fill_masks(
    cursors: Sequence[Cursor], rows: Sequence[int], out: NDArray[np.int32], threads: int = 1
) -> None:
    """Write the masks of many cursors.

    A cursor that fails gets an all-zero row and says why in `failure`; the others are not touched
    by it.

    Args:
        cursors: Of one vocabulary; each once. Failed and finished ones get zero rows.
        rows: The row of each; others are left alone.
        out: Shape (batch, at least words), int32, C-contiguous.
        threads: To compute on.
    """
    if threads > 1:
        _check_batch(out, rows)
        _compute_together(cursors, rows, out, threads)
    for cursor, row in zip(cursors, rows, strict=True):
        try:
            cursor.finish_mask(out[row], is_computed=threads > 1)
        except CursorError:
            out[row] = 0


def _compute_together(
    cursors: Sequence[Cursor], rows: Sequence[int], out: NDArray[np.int32], threads: int
) -> None:
    running = [(c, row) for c, row in zip(cursors, rows, strict=True) if c.is_running]
    if running:
        words = running[0][0].words
        masks = np.zeros((len(running), words), dtype=np.int32)  # the library wants exact rows
        matchers = [cursor.matcher for cursor, _ in running]
        _llguidance.fill_masks(matchers, range(len(running)), masks, threads)
        out[[row for _, row in running], :words] = masks


def _checked_row(out: NDArray[np.int32], vocabulary: Vocabulary) -> NDArray[np.int32]:
    if out.dtype != np.int32 or out.ndim != 1 or not out.flags.c_contiguous:
        raise ValueError("a mask is a contiguous int32 array of one dimension")
    if out.shape[0] < vocabulary.words:
        raise ValueError(f"a mask has {vocabulary.words} words, not {out.shape[0]}")
    return out


def _check_batch(out: NDArray[np.int32], rows: Sequence[int]) -> None:
    if out.dtype != np.int32 or out.ndim != 2 or not out.flags.c_contiguous:  # noqa: PLR2004 - rows, words
        raise ValueError("masks are a contiguous int32 array of two dimensions")
    if len(set(rows)) != len(rows) or not all(0 <= row < out.shape[0] for row in rows):
        raise ValueError("each cursor has a row of its own")
