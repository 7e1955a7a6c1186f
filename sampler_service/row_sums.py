"""Sums and orders along rows whose results do not depend on how many rows there are.

On a processor torch's operations are so by themselves. On CUDA they choose their kernels by shape
and by where a row begins in memory: there they get shapes that do not change.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

ROWS = 64
"""Of a slice: the most rows that are summed or sorted at once."""
_ALIGNED = 8  # numbers; rows of a multiple begin alike


def slices(rows: int) -> Iterator[slice]:
    """Yield slices of so many rows, in their order."""
    return (slice(start, min(start + ROWS, rows)) for start in range(0, rows, ROWS))


def cumulate(values: Tensor) -> Tensor:
    """Return the sums through each place of a row, of the rows of a slice."""
    missing = 0 if values.device.type == "cpu" else ROWS - len(values)
    padded = functional.pad(values, (0, 0, 0, missing)) if missing else values
    return torch.cumsum(padded, dim=-1)[: len(values)]


def log_softmax(values: Tensor) -> Tensor:
    """Return the natural logarithms of the shares of a row's numbers."""
    missing = 0 if values.device.type == "cpu" else -values.shape[1] % _ALIGNED
    padded = functional.pad(values, (0, missing), value=-torch.inf) if missing else values
    return torch.log_softmax(padded, dim=-1)[:, : values.shape[1]]


def top(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the highest numbers of each row, float32, and their places."""
    if values.device.type == "cpu":
        highest = values.topk(count, dim=-1)
        return highest.values, highest.indices
    bits = (values + 0.0).view(torch.int32)  # no negative zeros
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long() << 32
    places = torch.arange(values.shape[1], device=values.device)
    # the lowest place of equal numbers first
    chosen = 0xFFFFFFFF - ((ordered | (0xFFFFFFFF - places)).topk(count).values & 0xFFFFFFFF)
    return values.gather(1, chosen), chosen
