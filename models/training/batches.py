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

POOL = 384
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
    """tokens, positions: (rows, length); targets (n,) belong to the flat places `where` (n,)."""

    tokens: Tensor
    positions: Tensor
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
    tokens = torch.full((len(rows), length), PAD)
    positions = torch.zeros((len(rows), length), dtype=torch.long)
    where: list[int] = []
    targets: list[int] = []
    for index, row in enumerate(rows):
        size = len(row.ids)
        tokens[index, :size] = torch.tensor(row.ids)
        positions[index, :size] = torch.tensor(jumped_positions(size, rng))
        where += range(index * length + row.start - 1, index * length + size - 1)
        targets += row.ids[row.start :]
    return Batch(tokens, positions, torch.tensor(where), torch.tensor(targets))


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
        pool.sort(key=lambda row: len(row.ids))
        groups: list[list[Encoded]] = [[]]
        for row in pool:
            if (len(groups[-1]) + 1) * len(row.ids) > budget:
                groups.append([])
            groups[-1].append(row)
        rng.shuffle(groups)
        yield from (collate(group, rng) for group in groups)
