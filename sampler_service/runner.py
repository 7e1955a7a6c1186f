"""What the batch asks of a forward, whatever computes it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NewType, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Slot = NewType("Slot", int)
Masks = NDArray[np.int32]

BLOCK = 64
"""Prompts are computed, cached and reused in runs of this many tokens that start at its multiples,
so that the numbers do not depend on how a prompt was cut. A seed's bytes depend on it."""


@dataclass(frozen=True)
class RunnerInfo:
    """What a runner offers.

    `vocabulary` ids have logits; `context` tokens fit a slot; `device_class` is for example
    "cpu/float32"; `determinism` is "seeded" where the same seed gives the same bytes whatever else
    is in the batch, else "best effort"; `reuses_prefixes` where `snapshot` works.
    """

    slots: int
    context: int
    vocabulary: int
    device_class: str
    determinism: str
    reuses_prefixes: bool = True


@dataclass(slots=True)
class Row:
    """Tokens to append to one slot in a step.

    `prompt`: part of a prompt, inside one run of `BLOCK`; else tokens behind it, each computed as
    if alone. `wants_logits`: for the token after the last.
    """

    slot: Slot
    tokens: tuple[int, ...]
    prompt: bool = False
    wants_logits: bool = False


@dataclass(frozen=True)
class KvBlock:
    """Keys and values of `BLOCK` prompt tokens, a copy; what is inside belongs to the runner."""

    values: object
    size_bytes: int


@dataclass(frozen=True)
class Logits:
    """Of the rows that wanted them, in their order.

    `values`: shape (rows, vocabulary), float32; `masks`: shape (rows, words), int32, same device.
    """

    values: Tensor
    masks: Tensor


class Runner(Protocol):
    """A forward with a fixed number of slots for keys and values. Used by one thread."""

    @property
    def info(self) -> RunnerInfo:
        """What it offers."""

    def prefill(self, slot: Slot, blocks: Sequence[KvBlock]) -> None:
        """Start a slot with a prompt's first blocks, as `snapshot` gave them; often none."""

    def step(self, rows: Sequence[Row], masks: Callable[[], Masks]) -> Logits:
        """Append every row's tokens, and return logits.

        Args:
            rows: Any mixture of prompt runs and later tokens; of one slot, prompt first.
            masks: Called once, when the forward is on its way; shape (rows that want
                logits, words).
        """

    def truncate(self, slot: Slot, length: int) -> None:
        """Forget a slot's tokens behind the first `length`."""

    def free(self, slot: Slot) -> None:
        """Forget a slot's tokens."""

    def snapshot(self, slot: Slot, start: int) -> KvBlock:
        """Return a copy of the block of a slot that begins with token `start`."""
