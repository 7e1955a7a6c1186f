"""Attention of a step on a processor: one sequence at a time.

Its shapes depend on that sequence alone, and so do its numbers. (He et al., "Defeating
Nondeterminism in LLM Inference", 2025, has the idea for GPUs.)
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional


class Attention(Protocol):
    """Attention of the rows of one step, in one layer."""

    def __call__(self, query: Tensor, keys_values: Tensor) -> Tensor:
        """Return what the rows look up, shape (rows, heads, head_dim).

        Args:
            query: Shape (rows, heads, head_dim).
            keys_values: Shape (2, places, kv heads, head_dim), those of the step's rows among them.
        """


@dataclass(frozen=True)
class Span:
    """Rows `start` to `stop` of a step: tokens of one slot.

    Their keys and values stand behind row `base` of the cache; `length` is how many there are with
    these. `mask` is None where plain causality or none at all is right.
    """

    start: int
    stop: int
    base: int
    length: int
    mask: Tensor | None = None


@dataclass(frozen=True)
class SpanAttention:
    """Single tokens and runs of prompts, each by itself."""

    singles: tuple[Span, ...]
    runs: tuple[Span, ...]

    def __call__(self, query: Tensor, keys_values: Tensor) -> Tensor:
        """Return what the rows look up, zeros where nothing is asked."""
        mixed = query.new_zeros(query.shape)
        for span in self.singles:
            _attend_single(span, query, keys_values, mixed)
        for span in self.runs:
            _attend_run(span, query, keys_values, mixed)
        return mixed


def _attend_single(span: Span, query: Tensor, keys_values: Tensor, out: Tensor) -> None:
    """One token: the query heads that share a key head are rows of one product; no mask."""
    key, value = keys_values[:, span.base : span.base + span.length].transpose(1, 2).unbind(0)
    heads, size = key.shape[0], key.shape[2]
    grouped = query[span.start].view(1, heads, -1, size)
    mixed = functional.scaled_dot_product_attention(grouped, key[None], value[None])
    out[span.start] = mixed.view(-1, size)


def _attend_run(span: Span, query: Tensor, keys_values: Tensor, out: Tensor) -> None:
    """A run of a prompt, alone: its shape depends on its place in that prompt only."""
    key, value = keys_values[:, span.base : span.base + span.length].transpose(1, 2).unbind(0)
    rows = slice(span.start, span.stop)
    mixed = functional.scaled_dot_product_attention(
        query[rows].transpose(0, 1)[None],
        key[None],
        value[None],
        attn_mask=span.mask,
        is_causal=span.mask is None,
        enable_gqa=key.shape[0] != query.shape[1],
    )
    out[rows] = mixed[0].transpose(0, 1)


def causal_mask(start: int, stop: int, device: torch.device) -> Tensor:
    """Return booleans, shape (stop - start, stop): which tokens each of a run may look at."""
    seen = torch.arange(stop, device=device)
    return seen <= torch.arange(start, stop, device=device).unsqueeze(1)
