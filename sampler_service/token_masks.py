"""The masks of a step: of every index, and of sequences without one."""

from collections.abc import Sequence as Ordered
from dataclasses import dataclass

import numpy as np
from formwork_engine.cursor import MaskStatus, fill_masks
from formwork_engine.vocabulary import Vocabulary
from numpy.typing import NDArray

from sampler_service.runner import Masks
from sampler_service.sequence import Sequence


@dataclass(frozen=True)
class StepMasks:
    """The masks of a step.

    `values`: shape (sequences, words), a row of zeros where its cursor has failed or its mask is
    late; `late`: shape (sequences,), whose masks are still being worked out, or whose index is
    still to come.
    """

    values: Masks
    late: NDArray[np.bool_]


class TokenMasks:
    """Writes which token each sequence may take next.

    Text without an index never contains control tokens: only text and end tokens are allowed. The
    refusal token is added where a sequence may refuse.

    Args:
        vocabulary: Of the model.
        refusal_id: The refusal token, where there is one.
        threads: To compute the masks of indexes on.
        step_fuel: Work of one mask of an index within a step, in the engine's steps; one that needs
            more is late.
    """

    def __init__(
        self, vocabulary: Vocabulary, refusal_id: int | None, *, threads: int, step_fuel: int
    ) -> None:
        self._words = vocabulary.words
        self._threads = threads
        self._text: Masks = vocabulary.text_mask
        self._step_fuel = step_fuel
        self._not_end: Masks = ~vocabulary.end_mask
        self._free: Masks = vocabulary.text_mask | vocabulary.end_mask
        self._of_refusal: Masks = vocabulary.mask_of(() if refusal_id is None else (refusal_id,))

    def fill(self, sequences: Ordered[Sequence]) -> StepMasks:
        """Return one row for each."""
        out = np.zeros((len(sequences), self._words), dtype=np.int32)
        late = {row for row, sequence in enumerate(sequences) if not sequence.bound}
        out[[row for row, s in enumerate(sequences) if s.cursor is None and s.bound]] = self._free
        statuses = self._fill_from_indexes(sequences, out)
        late.update(row for row, status in statuses.items() if status is MaskStatus.LATER)
        refusing = [
            row
            for row, sequence in enumerate(sequences)
            if sequence.may_refuse_now
            and row not in late
            and statuses.get(row) is not MaskStatus.FAILED
        ]
        out[refusing] |= self._of_refusal
        is_late = np.zeros(len(sequences), dtype=np.bool_)
        is_late[list(late)] = True
        return StepMasks(out, is_late)

    def _fill_from_indexes(self, sequences: Ordered[Sequence], out: Masks) -> dict[int, MaskStatus]:
        """Write the rows of sequences with a cursor, and return what became of each."""
        bound = [(s.cursor, row) for row, s in enumerate(sequences) if s.cursor is not None]
        if not bound:
            return {}
        bound.reverse()  # who has waited comes first, while the step's allowance lasts
        cursors, rows = [cursor for cursor, _ in bound], [row for _, row in bound]
        statuses = fill_masks(cursors, rows, out, self._threads, self._step_fuel)
        return dict(zip(rows, statuses, strict=True))

    def is_complete(self, mask: Masks) -> bool:
        """Return whether nothing but an end token is allowed."""
        return bool(mask.any()) and not (mask & self._not_end).any()

    def is_outside_text(self, mask: Masks, token_id: int | None) -> bool:
        """Return whether a token stands for text and is not in a mask."""
        if token_id is None or token_id >= 32 * self._words:  # logits may be padded
            return False
        word, bit = token_id // 32, 1 << token_id % 32
        return bool(int(self._text[word]) & bit) and not int(mask[word]) & bit
