"""Which rows of a step can be sampled: those whose masks are there.

The logits of a row depend on its own sequence alone, so that a row whose mask is late is sampled in
a later step, from the logits that were kept, as it would have been in this one.
"""

from collections.abc import Sequence as Ordered
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sampler_service.runner import Logits, Masks
from sampler_service.sequence import Sequence
from sampler_service.token_masks import StepMasks


@dataclass(frozen=True)
class ReadyRows:
    """Rows to be sampled. `masks` are those of `logits`, where the host can read them."""

    sequences: Ordered[Sequence]
    logits: Logits
    masks: Masks


def gather_ready(asked: Ordered[Sequence], fresh: Logits | None, masks: StepMasks) -> ReadyRows:
    """Return the rows whose masks are there; the logits of the others stay with their sequences.

    Args:
        asked: Whose masks were asked for: first the rows of `fresh`, then sequences that keep
            logits.
        fresh: What the forward has computed, if it has.
        masks: Of all of them.
    """
    if fresh is not None and len(asked) == len(fresh.values) and not masks.late.any():
        return ReadyRows(asked, fresh, masks.values)
    rows = _rows(asked, fresh)
    for sequence, row, is_late in zip(asked, rows, masks.late, strict=True):
        if not is_late:
            sequence.logits = None
        elif sequence.logits is None:
            sequence.logits = row.clone()  # a view would keep the whole batch
    return _chosen(asked, rows, masks)


def _rows(asked: Ordered[Sequence], fresh: Logits | None) -> list[Tensor]:
    computed = [] if fresh is None else list(fresh.values)
    kept = [sequence.logits for sequence in asked[len(computed) :]]
    return [*computed, *(logits for logits in kept if logits is not None)]


def _chosen(asked: Ordered[Sequence], rows: list[Tensor], masks: StepMasks) -> ReadyRows:
    places = np.flatnonzero(~masks.late).tolist()
    of_ready = masks.values[places]
    values = torch.stack([rows[place] for place in places]) if places else torch.empty(0)
    logits = Logits(values, torch.from_numpy(of_ready).to(values.device))
    return ReadyRows([asked[place] for place in places], logits, of_ready)
