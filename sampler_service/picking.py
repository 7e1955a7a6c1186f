"""Picking a token of every row, in torch's operations: one draw inverts the cumulative weights.

Slice by slice: weights are in double precision, and sorting them takes several copies.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sampler_service.philox import uniforms
from sampler_service.row_sampling import RowSampling, adjust, column, expand_masks
from sampler_service.row_sums import cumulate, slices
from sampler_service.uploads import send


def pick_rows(logits: Tensor, masks: Tensor, rows: Sequence[RowSampling]) -> Tensor:
    """Return what was picked, and whether it may be used.

    Args:
        logits: Shape (rows, vocabulary), float32.
        masks: Shape (rows, words), int32.
        rows: One for each.

    Returns:
        Shape (rows, 4): a token, meaningless where nothing is allowed; the token of the highest
        logit, where anybody wants it; whether the logits are finite; whether a token is allowed.
    """
    picked = [_pick(logits[part], masks[part], rows[part]) for part in slices(len(rows))]
    return torch.cat([torch.empty(0, 4, dtype=torch.int64, device=logits.device), *picked])


def _pick(logits: Tensor, masks: Tensor, rows: Sequence[RowSampling]) -> Tensor:
    """Return what was picked of the rows of a slice."""
    allowed = expand_masks(masks, logits.shape[1])
    adjusted = adjust(logits, rows).masked_fill_(~allowed, -torch.inf)
    tokens = _choose(adjusted, rows)
    finite, possible = torch.isfinite(logits).all(dim=-1), allowed.any(dim=-1)
    return torch.stack((tokens, _likeliest(logits, rows, tokens), finite, possible)).T


def weigh(adjusted: Tensor, rows: Sequence[RowSampling]) -> Tensor:
    """Return the weights that tokens are drawn with, in double precision, 0 for those cut off.

    Args:
        adjusted: Logits, minus infinity for what the mask forbids, of the rows of a slice.
        rows: Those at temperature 0 are treated as if at 1.
    """
    highest = adjusted.amax(dim=-1, keepdim=True)
    temperatures = column([row.temperature or 1.0 for row in rows], adjusted.device)
    weights = torch.exp(((adjusted - highest) / temperatures).float()).double()
    return _cut_tail(weights, [row.top_p for row in rows])


def _choose(adjusted: Tensor, rows: Sequence[RowSampling]) -> Tensor:
    """Return a token id for each row; meaningless where nothing is allowed."""
    greedy = _lowest_of(adjusted.amax(dim=-1, keepdim=True), adjusted)
    if all(row.temperature == 0 for row in rows):
        return greedy
    weights = weigh(adjusted, rows)
    drawn = _draw(weights, column(uniforms([row.draw for row in rows]), weights.device))
    is_greedy = torch.tensor([row.temperature == 0 for row in rows])
    return torch.where(send(is_greedy, adjusted.device), greedy, drawn)


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
    limits = column(top_ps, weights.device)
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
