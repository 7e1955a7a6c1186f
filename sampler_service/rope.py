"""Rotary positions: Su et al., "RoFormer", 2021, in the rotate-half convention."""

import math

import torch
from torch import Tensor

from sampler_service.llama_shape import Rope


def rope_tables(
    rope: Rope, head_dim: int, context: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return cosines and signed sines, each of shape (context, 1, head_dim), float32.

    The first half of the sines is negated, so that rotating is `x * cos + swapped halves * sin`.
    """
    angles = torch.outer(torch.arange(context).float(), _frequencies(rope, head_dim))
    cosines, sines = angles.cos(), angles.sin()
    tables = torch.cat((cosines, cosines), -1), torch.cat((-sines, sines), -1)
    return tables[0].unsqueeze(1).to(device), tables[1].unsqueeze(1).to(device)


def rotate(heads: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Return heads (tokens, heads, head_dim), rotated to the positions of the tables' rows."""
    wide = heads.float()
    swapped = wide.roll(heads.shape[-1] // 2, -1)
    return torch.addcmul(wide * cosines, swapped, sines).to(heads.dtype)


def _frequencies(rope: Rope, head_dim: int) -> Tensor:
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
    frequencies = 1.0 / rope.theta**exponents
    return frequencies if rope.factor is None else _stretch(frequencies, rope, rope.factor)


def _stretch(frequencies: Tensor, rope: Rope, factor: float) -> Tensor:
    """Slow down low frequencies, keep high ones, and blend between (Llama 3.1)."""
    wavelengths = 2 * math.pi / frequencies
    spread = rope.high_frequency_factor - rope.low_frequency_factor
    blend = (rope.original_context / wavelengths - rope.low_frequency_factor) / spread
    blend = blend.clamp(0.0, 1.0)
    return frequencies / factor * (1 - blend) + frequencies * blend
