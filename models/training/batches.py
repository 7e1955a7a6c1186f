"""Samples as token batches: sorted into similar lengths, with the loss on the answer only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from models.training.samples import Sample, answer_text, prompt_text
from models.training.values import chance

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

    from tokenizers import Tokenizer

POOL = 1024
# Pools are sorted by length in steps of this many tokens, then by where the answer starts.
LENGTH_STEP = 8
MAX_TOKENS = 1024
JUMP_SHARE = 0.05
MAX_POSITIONS = 4096
PAD = 0


@dataclass(frozen=True)
class Encoded:
    """Token ids of one sample; the answer starts at `start`."""

    ids: list[int]
    start: int


@dataclass(frozen=True)
class Batch:
    """tokens, positions: (rows, length); no answer is predicted before place `first`.

    Targets (n,) belong to the flat places `where` (n,) of what is left from there on.
    """

    tokens: Tensor
    positions: Tensor
    first: int
    where: Tensor
    targets: Tensor


def encode(tokenizer: Tokenizer, sample: Sample) -> Encoded:
    """Encode a sample; its texts hold no special token that the template did not write."""
    prompt = tokenizer.encode(prompt_text(sample)).ids
    return Encoded(prompt + tokenizer.encode(answer_text(sample)).ids, len(prompt))


def jumped_positions(length: int, rng: random.Random) -> list[int]:
    """Return positions, sometimes with a jump that makes a short text span a long context."""
    positions = list(range(length))
    if chance(rng, JUMP_SHARE):
        cut, jump = rng.randrange(length), rng.randint(1, MAX_POSITIONS - length)
        positions = [p + jump if p >= cut else p for p in positions]
    return positions


def collate(rows: list[Encoded], rng: random.Random) -> Batch:
    """Pad rows to a common length and list where their answers are predicted."""
    length = max(len(r.ids) for r in rows)
    first = min(r.start for r in rows) - 1
    tokens = torch.full((len(rows), length), PAD)
    positions = torch.zeros((len(rows), length), dtype=torch.long)
    where: list[int] = []
    targets: list[int] = []
    for index, row in enumerate(rows):
        size = len(row.ids)
        tokens[index, :size] = torch.tensor(row.ids)
        positions[index, :size] = torch.tensor(jumped_positions(size, rng))
        base = index * (length - first) - first
        where += range(base + row.start - 1, base + size - 1)
        targets += row.ids[row.start :]
    return Batch(tokens, positions, first, torch.tensor(where), torch.tensor(targets))


def batches(
    tokenizer: Tokenizer, draw: Callable[[], Sample], budget: int, rng: random.Random
) -> Iterator[Batch]:
    """Yield batches of at most `budget` padded tokens, from pools sorted by length."""
    while True:
        pool = [
            row
            for row in (encode(tokenizer, draw()) for _ in range(POOL))
            if len(row.ids) <= MAX_TOKENS
        ]
        pool.sort(key=lambda row: (len(row.ids) // LENGTH_STEP, row.start))
        groups: list[list[Encoded]] = [[]]
        for row in pool:
            if (len(groups[-1]) + 1) * len(row.ids) > budget:
                groups.append([])
            groups[-1].append(row)
        rng.shuffle(groups)
        yield from (collate(group, rng) for group in groups)
