"""Answers that end in time: where a token leaves no room for an ending, another one is sampled."""

from collections.abc import Sequence as Ordered

import numpy as np
import torch
from formwork_engine.errors import CursorError

from sampler_service.ready_rows import ReadyRows
from sampler_service.row_sampling import RowSampling
from sampler_service.runner import Masks
from sampler_service.sampling import Failure, Sampled, sample
from sampler_service.sequence import Sequence
from sampler_service.uploads import send


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
    masks: dict[int, Masks] = {}
    for row, sequence in enumerate(ready.sequences):
        if not sequence.closes:
            continue
        mask = _closing_mask(sequence, results[row], ready.masks.shape[1])
        if mask is not None:
            masks[row] = mask
    if not masks:
        return results
    short = list(masks)
    device = ready.logits.values.device
    values = ready.logits.values[send(torch.tensor(short), device)]
    narrowed = send(torch.from_numpy(np.stack(list(masks.values()))), device)
    again = sample(values, narrowed, [wanted[row] for row in short])
    changed = dict(zip(short, again, strict=True))
    return [changed.get(row, result) for row, result in enumerate(results)]


def _closing_mask(sequence: Sequence, result: Sampled | Failure, words: int) -> Masks | None:
    """Return the mask of tokens that leave room, where the one that was sampled leaves none."""
    if isinstance(result, Failure):
        return None
    try:
        if sequence.leaves_room(result.token_id):
            return None
        mask = np.zeros(words, dtype=np.int32)
        sequence.fill_closing_mask(mask)
    except CursorError:
        return None
    return mask
