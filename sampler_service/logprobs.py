"""Log probabilities of the tokens of those rows that want them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sampler_service.row_sampling import expand_masks
from sampler_service.row_sums import log_softmax, top
from sampler_service.uploads import send

Listed = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Wish:
    """Wants the log probability of the token of a row, and of the `count` likeliest ones.

    They are of all tokens, or `of_allowed` ones.
    """

    row: int
    count: int
    of_allowed: bool


@dataclass(frozen=True)
class Logprobs:
    """What was computed for some wishes; maybe not yet, on a device."""

    wishes: Sequence[Wish]
    own: Tensor
    ids: Tensor
    values: Tensor

    def read(self) -> dict[int, tuple[float, Listed]]:
        """Return a token's log probability and the likeliest ones', by row; waits for them."""
        listed = zip(
            self.wishes, self.own.tolist(), self.ids.tolist(), self.values.tolist(), strict=True
        )
        return {
            wish.row: (own, _possible(ids, values)[: wish.count])
            for wish, own, ids, values in listed
        }


def compute_logprobs(
    logits: Tensor, masks: Tensor, tokens: Tensor, wishes: Sequence[Wish]
) -> Logprobs | None:
    """Return log probabilities; None where nobody wants any.

    Args:
        logits: Shape (rows, vocabulary), before everything else.
        masks: Shape (rows, words), int32.
        tokens: Shape (rows,).
        wishes: One at most for each row.
    """
    if not wishes:
        return None
    rows = send(torch.tensor([wish.row for wish in wishes]), logits.device)
    counting = send(torch.tensor([[not wish.of_allowed] for wish in wishes]), logits.device)
    hidden = ~(expand_masks(masks[rows], logits.shape[1]) | counting)
    chosen = log_softmax(logits[rows].masked_fill(hidden, -torch.inf))
    own = chosen.gather(1, tokens[rows].long().unsqueeze(1)).squeeze(1)
    most = max(wish.count for wish in wishes)
    values, ids = top(chosen, min(most, chosen.shape[1]))
    return Logprobs(wishes, own, ids, values)


def _possible(ids: Sequence[int], values: Sequence[float]) -> Listed:
    return tuple(pair for pair in zip(ids, values, strict=True) if pair[1] > -math.inf)
