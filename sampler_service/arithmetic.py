"""What a layer does within a row, between its products; plain here, fused for a GPU elsewhere."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from sampler_service.rope import rotate


@dataclass(frozen=True)
class Norm:
    """A root-mean-square norm (Zhang and Sennrich 2019) with a gain."""

    gain: Tensor
    epsilon: float


class Arithmetic(Protocol):
    """The row-wise parts of a layer."""

    def normalise(self, rows: Tensor, norm: Norm) -> Tensor:
        """Return the rows with their last dimension normalised."""

    def rotate(self, heads: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        """Return heads (rows, heads, head_dim), rotated to the positions of the tables' rows."""

    def activate(self, gate_up: Tensor) -> Tensor:
        """Return silu of the first half of the last dimension, times the second half."""


class PlainArithmetic:
    """Torch operations, one after another, in float32."""

    def normalise(self, rows: Tensor, norm: Norm) -> Tensor:
        """Return normalised rows."""
        wide = rows.float()
        scale = (wide * wide).mean(-1, keepdim=True).add_(norm.epsilon).rsqrt_()
        return (wide * scale).to(rows.dtype) * norm.gain

    def rotate(self, heads: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        """Return rotated heads."""
        return rotate(heads, cosines, sines)

    def activate(self, gate_up: Tensor) -> Tensor:
        """Return gated activations."""
        gate, up = gate_up.chunk(2, dim=-1)
        wide = gate.float()
        # silu by way of exp: the fused kernel's last elements differ from its others by a bit
        active = (wide / wide.neg().exp_().add_(1)).to(gate.dtype)
        return active * up
