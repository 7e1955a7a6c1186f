"""How the rows of a step are sampled, and what of it is done to logits before the mask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sampler_service.philox import Draw
from sampler_service.uploads import send


@dataclass(slots=True)
class RowSampling:
    """How one row is sampled. Nobody changes one; a frozen one would take twice as long to make.

    `counts` are sampled tokens so far by id; `top_logprobs` is None where no log probabilities are
    wanted, which are of all tokens or `of_allowed` ones; `wants_likeliest` asks for the likeliest
    token before everything else.
    """

    draw: Draw
    temperature: float = 0.0
    top_p: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] | None = None
    counts: Mapping[int, int] | None = None
    top_logprobs: int | None = None
    of_allowed: bool = False
    wants_likeliest: bool = False

    @property
    def penalises(self) -> bool:
        """Tokens that were sampled before have other logits."""
        return bool(self.counts and (self.presence_penalty or self.frequency_penalty))


def adjust(logits: Tensor, rows: Sequence[RowSampling]) -> Tensor:
    """Return a copy of the logits after penalties, then bias; finite where they were."""
    adjusted = logits.clone()
    _add(adjusted, [_penalties(row) for row in rows])
    _add(adjusted, [row.logit_bias or {} for row in rows])
    limits = torch.finfo(adjusted.dtype)
    return adjusted.clamp_(limits.min, limits.max)


def expand_masks(masks: Tensor, vocabulary: int) -> Tensor:
    """Return bit masks (rows, words) as booleans (rows, vocabulary)."""
    shifts = torch.arange(32, dtype=torch.int32, device=masks.device)
    bits = (masks.unsqueeze(-1) >> shifts) & 1
    return bits.flatten(1)[:, :vocabulary].to(torch.bool)


def column(values: Sequence[float] | NDArray[np.float64], device: torch.device) -> Tensor:
    """Return shape (values, 1)."""
    return send(torch.tensor(values, dtype=torch.float64), device).unsqueeze(1)


def _penalties(row: RowSampling) -> Mapping[int, float]:
    if not row.counts or not row.penalises:
        return {}
    return {
        token_id: -(row.presence_penalty + row.frequency_penalty * count)
        for token_id, count in row.counts.items()
        if count
    }


def _add(logits: Tensor, amounts: Sequence[Mapping[int, float]]) -> None:
    places = [(row, token_id) for row, of_row in enumerate(amounts) for token_id in of_row]
    if not places:
        return
    rows, tokens = send(torch.tensor(places), logits.device).unbind(1)
    values = [value for of_row in amounts for value in of_row.values()]
    logits[rows, tokens] += send(torch.tensor(values, dtype=logits.dtype), logits.device)
