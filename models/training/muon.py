"""Muon: momentum whose update is made orthogonal, for the weight matrices of the layers.

Method: K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

# Quintic Newton-Schulz coefficients of the method above.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalised(matrix: Tensor, steps: int = 5) -> Tensor:
    """Return an approximately orthogonal matrix (rows, columns) with the same singular vectors."""
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon:
    """Steps matrices by their orthogonalised Nesterov momentum, with decoupled weight decay."""

    def __init__(self, matrices: Iterable[nn.Parameter], momentum: float, decay: float) -> None:
        self.matrices = list(matrices)
        self.momentum = momentum
        self.decay = decay
        self.buffers = [torch.zeros_like(m) for m in self.matrices]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Update every matrix; the update's root mean square is that of a typical Adam step."""
        for matrix, buffer in zip(self.matrices, self.buffers, strict=True):
            if matrix.grad is None:
                continue
            buffer.lerp_(matrix.grad, 1 - self.momentum)
            update = orthogonalised(matrix.grad.lerp(buffer, self.momentum))
            scale = 0.2 * max(matrix.shape) ** 0.5
            matrix.mul_(1 - rate * self.decay).add_(update, alpha=-rate * scale)
