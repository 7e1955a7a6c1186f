"""Greedy decoding of a batch of prompts with a key-value cache, optionally under constraints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from models.training.llama import KeyValue, Llama

PAD = 0


class Constraint(Protocol):
    """What one sequence may say next; `None` in its place lets it say anything."""

    def mask(self) -> Tensor:
        """Return which tokens may come next, bool (vocab,)."""

    def accept(self, token: int) -> None:
        """Take the token that was chosen."""


@dataclass
class Row:
    """One sequence of the batch: its constraint and what it has said so far."""

    constraint: Constraint | None
    said: list[int]

    def choose(self, logits: Tensor) -> int:
        """Say the likeliest token of logits (vocab,) that the constraint allows."""
        if self.constraint is not None:
            logits = logits.masked_fill(~self.constraint.mask(), float("-inf"))
        token = int(logits.argmax())
        if self.constraint is not None:
            self.constraint.accept(token)
        self.said.append(token)
        return token


@torch.inference_mode()
def greedy(
    model: Llama,
    prompts: Sequence[Sequence[int]],
    constraints: Sequence[Constraint | None],
    *,
    end: int,
    limit: int,
) -> list[list[int]]:
    """Return the tokens after each prompt up to and with `end`, at most `limit` of them."""
    rows = [Row(constraint, []) for constraint in constraints]
    tokens, real = _left_padded(prompts)
    hidden, past = _prefill(model, tokens, real)
    live = rows
    for _ in range(limit):
        chosen = [
            row.choose(logits)
            for row, logits in zip(live, model.logits(hidden[:, -1]), strict=True)
        ]
        kept = torch.tensor([index for index, token in enumerate(chosen) if token != end])
        if not len(kept):
            break
        if len(kept) < len(live):
            live = [live[index] for index in kept.tolist()]
            real, past = real[kept], [(keys[kept], values[kept]) for keys, values in past]
        real = torch.cat((real, torch.ones(len(live), 1, dtype=torch.bool)), 1)
        positions = real.sum(1, keepdim=True) - 1
        latest = torch.tensor(chosen)[kept][:, None]
        hidden, past = model.hidden(latest, positions, past, real[:, None, None])
    return [row.said for row in rows]


def _left_padded(prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return tokens (rows, length) padded on the left, and which of them are real."""
    length = max(map(len, prompts))
    tokens = torch.full((len(prompts), length), PAD)
    for row, prompt in enumerate(prompts):
        tokens[row, length - len(prompt) :] = torch.tensor(prompt)
    starts = torch.tensor([length - len(prompt) for prompt in prompts])
    return tokens, torch.arange(length) >= starts[:, None]


def _prefill(model: Llama, tokens: Tensor, real: Tensor) -> tuple[Tensor, list[KeyValue]]:
    """Run left-padded prompts (rows, length); a padding place attends to itself only."""
    length = tokens.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    mask = (causal & real[:, None, :]) | torch.eye(length, dtype=torch.bool)
    positions = (real.cumsum(1) - 1).clamp(min=0)
    return model.hidden(tokens, positions, mask=mask[:, None])
