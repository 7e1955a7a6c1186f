"""The row-wise parts of a layer on CUDA, one kernel each."""

import torch
import triton
from torch import Tensor

from sampler_service.arithmetic import Norm
from sampler_service.row_kernels import activate_row, normalise_row, rotate_row

_BLOCK = 1024


class FusedArithmetic:
    """As `PlainArithmetic`, to a rounding."""

    def normalise(self, rows: Tensor, norm: Norm) -> Tensor:
        """Return normalised rows."""
        rows = rows.contiguous()
        out, size = torch.empty_like(rows), rows.shape[-1]
        normalise_row[rows.numel() // size,](
            rows, norm.gain, out, norm.epsilon, SIZE=size, SIZE_PAD=triton.next_power_of_2(size)
        )
        return out

    def rotate(self, heads: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        """Return rotated heads."""
        rows, count, size = heads.shape
        out = torch.empty(heads.shape, dtype=heads.dtype, device=heads.device)
        rotate_row[rows,](
            heads,
            cosines,
            sines,
            out,
            heads.stride(0),
            heads.stride(1),
            HEADS=count,
            HEADS_PAD=triton.next_power_of_2(count),
            HALF=size // 2,
            HALF_PAD=triton.next_power_of_2(size // 2),
        )
        return out

    def activate(self, gate_up: Tensor) -> Tensor:
        """Return gated activations."""
        rows, size = gate_up.shape[0], gate_up.shape[1] // 2
        out = gate_up.new_empty(rows, size)
        blocks = triton.cdiv(size, _BLOCK)
        activate_row[rows, blocks](gate_up, out, SIZE=size, BLOCK=_BLOCK)
        return out
