"""From logits to tokens, for a whole batch, in one documented order.

Penalties (on sampled tokens, not on forced ones), finite bias, mask, temperature, top-p; log
probabilities are of the logits before all of these, or of those that the mask leaves where that is
asked for. Whatever precedes the mask is finite, so that
it can make an allowed token unlikely but never take the last one away. Every row is computed by
itself: its result does not depend on its neighbours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sampler_service.logprobs import Wish, compute_logprobs
from sampler_service.philox import Draw, uniforms
from sampler_service.row_sums import cumulate
from sampler_service.uploads import send


@dataclass(frozen=True)
class RowSampling:
    """How one row is sampled.

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


@dataclass(frozen=True)
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
    allowed = expand_masks(masks, logits.shape[1])
    adjusted = adjust(logits, rows).masked_fill_(~allowed, -torch.inf)
    tokens = _choose(adjusted, rows)
    finite, possible = torch.isfinite(logits).all(dim=-1), allowed.any(dim=-1)
    logprobs = compute_logprobs(logits, allowed, tokens, _wishes(rows))
    likeliest = _likeliest(logits, rows, tokens)
    # all is queued: a device is waited for here, and nowhere before
    told = torch.stack((tokens, likeliest, finite, possible)).T.tolist()
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


def expand_masks(masks: Tensor, vocabulary: int) -> Tensor:
    """Return bit masks (rows, words) as booleans (rows, vocabulary)."""
    shifts = torch.arange(32, dtype=torch.int32, device=masks.device)
    bits = (masks.unsqueeze(-1) >> shifts) & 1
    return bits.flatten(1)[:, :vocabulary].to(torch.bool)


def adjust(logits: Tensor, rows: Sequence[RowSampling]) -> Tensor:
    """Return a copy of the logits after penalties, then bias; finite where they were."""
    adjusted = logits.clone()
    _add(adjusted, [_penalties(row) for row in rows])
    _add(adjusted, [row.logit_bias or {} for row in rows])
    limits = torch.finfo(adjusted.dtype)
    return adjusted.clamp_(limits.min, limits.max)


def _penalties(row: RowSampling) -> Mapping[int, float]:
    if not row.counts or not (row.presence_penalty or row.frequency_penalty):
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


def _choose(adjusted: Tensor, rows: Sequence[RowSampling]) -> Tensor:
    """Return a token id for each row; meaningless where nothing is allowed."""
    highest = adjusted.amax(dim=-1, keepdim=True)
    greedy = _lowest_of(highest, adjusted)
    if all(row.temperature == 0 for row in rows):
        return greedy
    temperatures = _column([row.temperature for row in rows], adjusted.device)
    safe = torch.where(temperatures == 0, 1.0, temperatures)
    weights = torch.exp(((adjusted - highest) / safe).float()).double()
    weights = _cut_tail(weights, [row.top_p for row in rows])
    drawn = _draw(weights, _column(uniforms([row.draw for row in rows]), weights.device))
    return torch.where(temperatures.squeeze(1) == 0, greedy, drawn)


def _lowest_of(highest: Tensor, values: Tensor) -> Tensor:
    """Return the lowest id of those with a row's highest value, on every device."""
    ids = torch.arange(values.shape[1], device=values.device)
    return torch.where(values == highest, ids, values.shape[1] - 1).amin(dim=-1)


def _cut_tail(weights: Tensor, top_ps: Sequence[float]) -> Tensor:
    """Keep the fewest likeliest tokens that hold `top_p` of the weight; always one."""
    if all(top_p >= 1 for top_p in top_ps):
        return weights
    ordered, order = torch.sort(weights, dim=-1, descending=True, stable=True)
    through = cumulate(ordered)
    limits = _column(top_ps, weights.device)
    keep = (through - ordered < limits * through[:, -1:]) | (limits >= 1)
    keep[:, 0] = True
    return torch.zeros_like(weights).scatter_(-1, order, ordered * keep)


def _draw(weights: Tensor, uniform: Tensor) -> Tensor:
    """Invert the cumulative weights at `uniform`, shape (rows, 1), in the order of the ids."""
    cumulative = cumulate(weights)
    total = cumulative[:, -1:]
    # strictly below the total, so that the place found has weight
    target = torch.minimum(uniform * total, torch.nextafter(total, torch.zeros_like(total)))
    found = torch.searchsorted(cumulative, target, right=True).squeeze(1)
    return found.clamp_(max=weights.shape[1] - 1)


def _likeliest(logits: Tensor, rows: Sequence[RowSampling], tokens: Tensor) -> Tensor:
    """Return the likeliest token of every row; just `tokens` where nobody wants them."""
    if not any(row.wants_likeliest for row in rows):
        return tokens
    return _lowest_of(logits.amax(dim=-1, keepdim=True), logits)


def _wishes(rows: Sequence[RowSampling]) -> list[Wish]:
    return [
        Wish(row, sampling.top_logprobs, sampling.of_allowed)
        for row, sampling in enumerate(rows)
        if sampling.top_logprobs is not None
    ]


def _column(values: Sequence[float] | NDArray[np.float64], device: torch.device) -> Tensor:
    """Return shape (values, 1)."""
    return send(torch.tensor(values, dtype=torch.float64), device).unsqueeze(1)
