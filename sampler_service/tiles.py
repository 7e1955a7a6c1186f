"""How rows are cut for linear layers, so that a row's numbers do not depend on its neighbours.

A matrix product picks its kernel by shape, and kernels differ in the order of their sums. Where
tiles of several sizes are seen to give the same bits on this machine, for these weights, any cut
into them will do; elsewhere, and always on CUDA, every tile has one fixed size.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import structlog
import torch
from torch import Tensor
from torch.nn import functional

log = structlog.get_logger()

_SIZES = (4, 8, 16, 32, 64, 128)
_FIXED = (8, 32)
CUDA_ROWS = 256
"""Rows of every tile on CUDA: with fewer, a GPU reads the weights no faster."""


@dataclass(frozen=True)
class Tiling:
    """Sizes that rows may be cut into, ascending, each a multiple of the first; none: uncut."""

    sizes: tuple[int, ...]

    def pad(self, rows: int) -> int:
        """Return how many rows there are with padding."""
        return rows + -rows % self.sizes[0] if self.sizes else rows

    def cut(self, rows: int) -> tuple[int, ...]:
        """Return the tiles of so many padded rows, the large ones first."""
        if not self.sizes:
            return (rows,)
        tiles: list[int] = []
        for size in reversed(self.sizes):
            tiles += [size] * (rows // size)
            rows %= size
        return tuple(tiles)


@dataclass(frozen=True)
class Tilings:
    """How single tokens and runs of prompts are cut; equal where they may share tiles."""

    tokens: Tiling
    prompts: Tiling

    @property
    def shared(self) -> bool:
        """Tokens and prompts may stand in one tile."""
        return self.tokens == self.prompts


UNCUT = Tilings(Tiling(()), Tiling(()))
"""All rows at once: a little faster, and a row's numbers depend on how many there are."""


def find_tilings(weights: Iterable[Tensor]) -> Tilings:
    """Return the cuts that are bit-exact here for weights of these shapes.

    Args:
        weights: Shape (out, in); one of a shape is tried.
    """
    by_shape = {tuple(weight.shape): weight for weight in weights}
    device = next(iter(by_shape.values())).device.type
    if device == "cuda":
        return Tilings(Tiling((CUDA_ROWS,)), Tiling((CUDA_ROWS,)))
    agreed = [size for size in _SIZES if all(_agrees(w, size) for w in by_shape.values())]
    log.info("tiles", device=device, agreed=agreed)
    if len(agreed) == len(_SIZES):
        return Tilings(Tiling(_SIZES), Tiling(_SIZES))
    tokens, prompts = _FIXED
    return Tilings(Tiling((tokens,)), Tiling((prompts,)))


@torch.inference_mode()
def _agrees(weight: Tensor, size: int) -> bool:
    """Return whether tiles of a size give what the smallest ones give, in every place of a tile."""
    generator = torch.Generator().manual_seed(size)
    rows = torch.randn(_SIZES[-1], weight.shape[1], generator=generator)
    rows = rows.to(weight.device, weight.dtype)
    expected = multiply(rows, weight, None, _SIZES[:1] * (_SIZES[-1] // _SIZES[0]))
    found = multiply(rows.roll(1, 0), weight, None, (size,) * (_SIZES[-1] // size)).roll(-1, 0)
    return torch.equal(expected, found)


def multiply(rows: Tensor, weight: Tensor, bias: Tensor | None, cuts: tuple[int, ...]) -> Tensor:
    """Return the linear layer (rows, out) of (rows, in), one tile after another."""
    if len(cuts) == 1:
        return functional.linear(rows, weight, bias)
    tiles = torch.split(rows, list(cuts))
    parts = [functional.linear(tile, weight, bias) for tile in tiles]
    return torch.cat(parts) if parts else rows.new_empty(0, weight.shape[0])
