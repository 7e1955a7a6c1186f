"""The rows of a step with their places in the cache, and what computes them."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from torch import Tensor

from sampler_service.runner import Masks


class PlacedRow(NamedTuple):
    """Tokens to append behind `before` others, whose keys and values begin at `base`.

    `prompt` and `wants_logits` as in `runner.Row`.
    """

    tokens: tuple[int, ...]
    base: int
    before: int
    prompt: bool
    wants_logits: bool


class Forward(Protocol):
    """Computes rows over a model's cache, on one device."""

    def launch(self, rows: Sequence[PlacedRow]) -> Tensor:
        """Start a step; return logits of the rows that want them, perhaps not computed yet.

        Shape (rows that want them, vocabulary), float32.
        """

    def upload(self, masks: Masks) -> Tensor:
        """Return masks where the logits are."""
