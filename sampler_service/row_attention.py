"""Attention of a step on CUDA: every row by itself, all of them in one launch.

Runs of prompts are rows like any other: a row looks at the keys up to its own. How its keys are
split, and the order in which the splits are joined, depend on their number alone.
"""

import math
from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from sampler_service.row_kernels import attend_part, join_parts

_BLOCK = 64  # keys that are looked up together
_SPLITS = 8
_SHORTEST = 256  # keys of a split at least: short sequences have one
_SMALLEST = 16  # sides of a tile that the matrix units take


@dataclass(frozen=True)
class RowAttention:
    """Attention of the first `rows` rows of a step; the others are padding.

    `bases` and `lengths` have an entry per row: where its sequence's keys begin, and how many there
    are with its own; 0 for a row that is padding.
    """

    bases: Tensor
    lengths: Tensor
    rows: int

    def __call__(self, query: Tensor, keys_values: Tensor) -> Tensor:
        """Return what the rows look up, zeros for padding."""
        heads, size = query.shape[1:]
        kv_heads = keys_values.shape[2]
        group, rows = heads // kv_heads, self.rows
        keys, values = keys_values.unbind(0)
        sums = (rows, kv_heads, _SPLITS, group)
        parts = torch.empty(*sums, size, dtype=torch.float32, device=query.device)
        peaks, weights = torch.empty(2, *sums, dtype=torch.float32, device=query.device)
        mixed = query.new_zeros(query.shape)
        sizes = _sizes(group, size)
        attend_part[rows, kv_heads, _SPLITS](
            query,
            keys,
            values,
            self.bases,
            self.lengths,
            parts,
            peaks,
            weights,
            math.log2(math.e) / math.sqrt(size),
            query.stride(0),
            query.stride(1),
            keys.stride(0),
            keys.stride(1),
            **sizes,
        )
        join_parts[rows, kv_heads](self.lengths, parts, peaks, weights, mixed, **sizes)
        return mixed


def _sizes(group: int, size: int) -> dict[str, int]:
    return {
        "GROUP": group,
        "GROUP_PAD": max(_SMALLEST, triton.next_power_of_2(group)),
        "SIZE": size,
        "SIZE_PAD": max(_SMALLEST, triton.next_power_of_2(size)),
        "BLOCK": _BLOCK,
        "SPLITS": _SPLITS,
        "SHORTEST": _SHORTEST,
    }
