"""Samples as token batches: sorted into similar lengths, with the loss on the answer only."""

from __future__ import annotations

import re
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
STRUCTURE_WEIGHT, BEGINNING_WEIGHT = 0.3, 2.0
BEFORE_VALUES = {'"', ":", "[", ","}
KEY = re.compile(r'"[^"]*":')


@dataclass(frozen=True)
class Encoded:
    """Token ids of one sample; the answer starts at `start`, its tokens have weights."""

    ids: list[int]
    start: int
    weights: list[float]


@dataclass(frozen=True)
class Batch:
    """tokens, positions: (rows, length); no answer is predicted before place `first`.

    Targets (n,), weighted by `weights` (n,), belong to the flat places `where` (n,) of what is
    left from there on.
    """

    tokens: Tensor
    positions: Tensor
    first: int
    where: Tensor
    targets: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return it on a device."""
        parts = (self.where, self.targets, self.weights)
        tokens, positions = self.tokens.to(device), self.positions.to(device)
        return Batch(tokens, positions, self.first, *(part.to(device) for part in parts))


def is_structure(answer: str) -> list[bool]:
    """Tell for each character of an answer in JSON whether it is a key or punctuation."""
    marks = [not character.isalnum() for character in answer]
    for key in KEY.finditer(answer):
        marks[key.start() : key.end()] = [True] * (key.end() - key.start())
    return marks


def answer_weights(answer: str, places: list[tuple[int, int]]) -> list[float]:
    """Return the weight of each token of an answer in JSON, at places (start, end) of its text.

    The constraint writes most keys and punctuation, so what a value is counts more, and how it
    begins most of all: that is where it is found in the text.
    """
    marks = is_structure(answer)
    return [
        STRUCTURE_WEIGHT if all(marks[start:end])
        else BEGINNING_WEIGHT if answer[start - 1 : start] in BEFORE_VALUES else 1.0
        for start, end in places
    ]  # fmt: skip


def encode(tokenizer: Tokenizer, sample: Sample) -> Encoded:
    """Encode a sample; its texts hold no special token that the template did not write."""
    prompt, text = tokenizer.encode(prompt_text(sample)).ids, answer_text(sample)
    answer = tokenizer.encode(text)
    is_json = sample.schema is not None or bool(sample.tools)
    weights = answer_weights(text, answer.offsets) if is_json else [1.0] * len(answer.ids)
    return Encoded(prompt + answer.ids, len(prompt), weights)


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
    weights: list[float] = []
    for index, row in enumerate(rows):
        size = len(row.ids)
        tokens[index, :size] = torch.tensor(row.ids)
        positions[index, :size] = torch.tensor(jumped_positions(size, rng))
        base = index * (length - first) - first
        where += range(base + row.start - 1, base + size - 1)
        targets += row.ids[row.start :]
        weights += row.weights
    answers = (torch.tensor(where), torch.tensor(targets), torch.tensor(weights))
    return Batch(tokens, positions, first, *answers)


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
