"""Picking a token of every row on CUDA: a race of all allowed tokens, in one pass over the logits.

Every token of a row gets a random number of its own, and the highest sum of logit and scaled noise
wins: of the same distribution as a draw from the softmax (Gumbel 1954; Yellott 1977), and exact
whatever the order of the comparisons. Only rows with a top-p below 1 need sums, and get these from
`picking`, before the race.
"""

from collections.abc import Sequence

import numpy as np
import torch
import triton
from torch import Tensor

from sampler_service.picking import weigh
from sampler_service.race_kernels import join_races, race_part
from sampler_service.row_sampling import RowSampling, adjust, expand_masks
from sampler_service.row_sums import slices
from sampler_service.uploads import send

QUARTER = 1024
"""Tokens whose noise one word of each random number makes. A seed's bytes depend on it."""
_LOW = np.uint64(0xFFFFFFFF)


def race_rows(logits: Tensor, masks: Tensor, rows: Sequence[RowSampling]) -> Tensor:
    """Return what was picked, as `pick_rows` does; the likeliest token always."""
    count, vocabulary = logits.shape
    adjusted = _adjusted(logits, masks, rows)
    parts = triton.cdiv(vocabulary, 4 * QUARTER)
    best = torch.empty(2, count, parts, dtype=torch.float32, device=logits.device)
    found = torch.empty(3, count, parts, dtype=torch.int32, device=logits.device)
    out = torch.empty(count, 4, dtype=torch.int32, device=logits.device)
    if not count:
        return out
    race_part[count, parts](
        logits,
        adjusted,
        masks,
        send(torch.from_numpy(_draws(rows)), logits.device),
        *best,
        *found,
        vocabulary,
        masks.shape[1],
        logits.stride(0),
        adjusted.stride(0),
        masks.stride(0),
        QUARTER=QUARTER,
    )
    padded = triton.next_power_of_2(parts)
    join_races[count,](*best, *found, out, parts, vocabulary, PARTS_PAD=padded)
    return out


def _adjusted(logits: Tensor, masks: Tensor, rows: Sequence[RowSampling]) -> Tensor:
    """Return logits after penalties and bias, without tails; the logits themselves if that is all.

    The mask is left to the race.
    """
    cut = [n for n, row in enumerate(rows) if row.top_p < 1 and row.temperature > 0]
    if not cut and not any(row.logit_bias or row.penalises for row in rows):
        return logits
    adjusted = adjust(logits, rows)
    for part in slices(len(cut)):
        _cut_tails(adjusted, masks, rows, cut[part])
    return adjusted


def _cut_tails(
    adjusted: Tensor, masks: Tensor, rows: Sequence[RowSampling], cut: Sequence[int]
) -> None:
    """Write minus infinity for what the mask or the top-p of some rows forbids: of a slice."""
    places = send(torch.tensor(cut), adjusted.device)
    allowed = expand_masks(masks[places], adjusted.shape[1])
    narrow = adjusted[places].masked_fill_(~allowed, -torch.inf)
    weights = weigh(narrow, [rows[place] for place in cut])
    adjusted[places] = narrow.masked_fill_(weights == 0, -torch.inf)


def _draws(rows: Sequence[RowSampling]) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    """Return seeds, low word first, choices, positions and temperatures, shape (rows, 5)."""
    seeds = np.array([row.draw.seed for row in rows], dtype=np.uint64)
    table = np.empty((len(rows), 5), dtype=np.uint32)
    table[:, 0], table[:, 1] = seeds & _LOW, seeds >> np.uint64(32)
    table[:, 2] = [row.draw.choice for row in rows]
    table[:, 3] = [row.draw.position for row in rows]
    table[:, 4] = np.array([row.temperature for row in rows], dtype=np.float32).view(np.uint32)
    return table.view(np.int32)
