"""Answers that end in time: where a token leaves no room for an ending, another one is sampled."""

from collections.abc import Sequence as Ordered

import numpy as np
import torch
from formwork_engine.errors import CursorError

from sampler_service.ready_rows import ReadyRows
from sampler_service.runner import Masks
from sampler_service.sampling import Failure, RowSampling, Sampled, sample
from sampler_service.sequence import Sequence


def leave_room(
    ready: ReadyRows, results: Ordered[Sampled | Failure], wanted: Ordered[RowSampling]
) -> Ordered[Sampled | Failure]:
    """Return the results, tokens that leave no room replaced by such as do.

    They are sampled with the same draw from the same logits, so that it does not matter who else is
    in the batch. A sequence whose cursor fails meanwhile keeps its result.

    Args:
        ready: The rows.
        results: What was sampled of each.
        wanted: How.
    """
    masks = np.zeros_like(ready.masks)
    short = [
        row
        for row, (sequence, result) in enumerate(zip(ready.sequences, results, strict=True))
        if isinstance(result, Sampled) and _is_short(sequence, result, masks[row])
    ]
    if not short:
        return results
    values = ready.logits.values[short]
    narrowed = torch.from_numpy(masks[short]).to(values.device)
    again = sample(values, narrowed, [wanted[row] for row in short])
    changed = dict(zip(short, again, strict=True))
    return [changed.get(row, result) for row, result in enumerate(results)]


def _is_short(sequence: Sequence, result: Sampled, mask: Masks) -> bool:
    """Return whether a token leaves no room; the mask is then that of tokens that do."""
    try:
        if sequence.leaves_room(result.token_id):
            return False
        sequence.fill_closing_mask(mask)
    except CursorError:
        return False
    return True
