"""Which rows of a step can be sampled: those whose masks are there.

The logits of a row depend on its own sequence alone, so that a row whose mask is late is sampled in
a later step, from the logits that were kept, as it would have been in this one.
"""

from collections.abc import Sequence as Ordered
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sampler_service.runner import Logits, Masks
from sampler_service.sequence import Sequence
from sampler_service.token_masks import StepMasks
from sampler_service.uploads import send


@dataclass(frozen=True)
class ReadyRows:
    """Rows to be sampled.

    Those of a forward are sampled together, also where some are late: taking these out would copy
    all others. `masks` are those of `logits`, where the host can read them; `late`: shape (rows,),
    whose results are nobody's.
    """

    sequences: Ordered[Sequence]
    logits: Logits
    masks: Masks
    late: NDArray[np.bool_]


def gather_ready(
    asked: Ordered[Sequence], fresh: Logits | None, masks: StepMasks
) -> list[ReadyRows]:
    """Return the rows whose masks are there; the logits of the others stay with their sequences.

    Args:
        asked: Whose masks were asked for: first the rows of `fresh`, then sequences that keep
            logits.
        fresh: What the forward has computed, if it has.
        masks: Of all of them.
    """
    count = 0 if fresh is None else len(fresh.values)
    ready: list[ReadyRows] = []
    if fresh is not None:
        late = masks.late[:count]
        _keep_late(asked[:count], fresh.values, late)
        if not late.all():
            ready.append(ReadyRows(asked[:count], fresh, masks.values[:count], late))
    places = [place for place in range(count, len(asked)) if not masks.late[place]]
    if places:
        ready.append(_take_kept([asked[place] for place in places], masks.values[places]))
    return ready


def _keep_late(sequences: Ordered[Sequence], values: Tensor, late: NDArray[np.bool_]) -> None:
    for row in np.flatnonzero(late).tolist():
        sequences[row].logits = values[row].clone()  # a view would keep the whole batch


def _take_kept(sequences: Ordered[Sequence], masks: Masks) -> ReadyRows:
    kept = [sequence.logits for sequence in sequences]
    values = torch.stack([logits for logits in kept if logits is not None])
    for sequence in sequences:
        sequence.logits = None
    logits = Logits(values, send(torch.from_numpy(masks), values.device))
    return ReadyRows(sequences, logits, masks, np.zeros(len(sequences), dtype=np.bool_))
