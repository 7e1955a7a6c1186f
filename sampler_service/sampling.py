"""From logits to tokens, for a whole batch, in one documented order.

Penalties (on sampled tokens, not on forced ones), finite bias, mask, temperature, top-p; log
probabilities are of the logits before all of these, or of those that the mask leaves where that is
asked for. Whatever precedes the mask is finite, so that
it can make an allowed token unlikely but never take the last one away. Every row is computed by
itself: its result does not depend on its neighbours. On CUDA the draw is another one than on a
processor (see `race_picking`), of the same distribution.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from sampler_service.logprobs import Wish, compute_logprobs
from sampler_service.picking import pick_rows
from sampler_service.row_sampling import RowSampling


@dataclass(slots=True)
class Sampled:
    """A token; with its natural log probability and the likeliest tokens' where wanted.

    `likeliest` is the token of the highest logit, allowed or not, where it was wanted.
    """

    token_id: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    likeliest: int | None = None


class Failure(StrEnum):
    """Why a row has no token."""

    NOT_FINITE = "not_finite"
    EMPTY_MASK = "empty_mask"


@torch.inference_mode()
def sample(logits: Tensor, masks: Tensor, rows: Sequence[RowSampling]) -> list[Sampled | Failure]:
    """Return the next token of each row, or why it has none.

    Args:
        logits: Shape (rows, vocabulary), float32.
        masks: Shape (rows, words), int32, on the same device; bit i % 32 of word i // 32 allows i.
        rows: One for each.
    """
    picked = _picker(logits.device)(logits, masks, rows)
    logprobs = compute_logprobs(logits, masks, picked[:, 0], _wishes(rows))
    # all is queued: a device is waited for here, and nowhere before
    told = picked.tolist()
    of_rows = logprobs.read() if logprobs is not None else {}
    results: list[Sampled | Failure] = []
    for row, (token_id, likely, is_finite, is_possible) in enumerate(told):
        if not is_finite or not is_possible:
            results.append(Failure.EMPTY_MASK if is_finite else Failure.NOT_FINITE)
        else:
            logprob, listed = of_rows.get(row, (None, ()))
            wanted = likely if rows[row].wants_likeliest else None
            results.append(Sampled(token_id, logprob, listed, wanted))
    return results


def _picker(device: torch.device) -> Callable[[Tensor, Tensor, Sequence[RowSampling]], Tensor]:
    if device.type != "cuda":
        return pick_rows
    from sampler_service.race_picking import race_rows  # noqa: PLC0415 - needs triton

    return race_rows


def _wishes(rows: Sequence[RowSampling]) -> list[Wish]:
    return [
        Wish(row, sampling.top_logprobs, sampling.of_allowed)
        for row, sampling in enumerate(rows)
        if sampling.top_logprobs is not None
    ]
