"""Greedy decoding of a batch of prompts with a key-value cache, optionally under constraints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.training.llama import KeyValue, Llama

PAD = 0


class Constraint(Protocol):
    """What one sequence may say next; `None` in its place lets it say anything."""

    def mask(self) -> Tensor:
        """Return which tokens may come next, bool (vocab,)."""

    def accept(self, token: int) -> None:
        """Take the token that was chosen."""


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
    rows, length = len(prompts), max(map(len, prompts))
    tokens = torch.full((rows, length), PAD)
    for row, prompt in enumerate(prompts):
        tokens[row, length - len(prompt) :] = torch.tensor(prompt)
    real = torch.arange(length) >= torch.tensor([length - len(p) for p in prompts])[:, None]
    hidden, past = _prefill(model, tokens, real)
    answers: list[list[int]] = [[] for _ in prompts]
    for _ in range(limit):
        chosen = [
            end if answer and answer[-1] == end else _choose(logits, constraint)
            for answer, logits, constraint in zip(
                answers, model.logits(hidden[:, -1]), constraints, strict=True
            )
        ]
        for answer, token in zip(answers, chosen, strict=True):
            if not answer or answer[-1] != end:
                answer.append(token)
        if all(answer[-1] == end for answer in answers):
            break
        real = torch.cat((real, torch.ones(rows, 1, dtype=torch.bool)), 1)
        positions = real.sum(1, keepdim=True) - 1
        hidden, past = model.hidden(
            torch.tensor(chosen)[:, None], positions, past, real[:, None, None]
        )
    return answers


def _prefill(model: Llama, tokens: Tensor, real: Tensor) -> tuple[Tensor, list[KeyValue]]:
    """Run left-padded prompts (rows, length); a padding place attends to itself only."""
    length = tokens.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    mask = (causal & real[:, None, :]) | torch.eye(length, dtype=torch.bool)
    positions = (real.cumsum(1) - 1).clamp(min=0)
    return model.hidden(tokens, positions, mask=mask[:, None])


def _choose(logits: Tensor, constraint: Constraint | None) -> int:
    """Take the likeliest token that the constraint allows."""
    if constraint is None:
        return int(logits.argmax())
    token = int(logits.masked_fill(~constraint.mask(), float("-inf")).argmax())
    constraint.accept(token)
    return token
