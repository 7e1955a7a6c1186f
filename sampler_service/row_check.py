"""Checks on this machine what promise 9 needs of its kernels."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sampler_service.llama import Llama
from sampler_service.native_runner import NativeRunner
from sampler_service.runner import BLOCK, Masks, Row, Slot

_SLOTS = 9
_CUDA_SLOTS = 70  # more than attention is launched for where few decode


def is_row_exact(model: Llama) -> bool:
    """Return whether a sequence's logits are the same, bit for bit, alone and among others.

    One prompt is computed by itself, then at the other end of a full batch of different ones, its
    runs beside other runs and its last token in another place of its tile.
    """
    slots = _CUDA_SLOTS if model.device.type == "cuda" else _SLOTS
    length = min(BLOCK + BLOCK // 2, model.shape.context - 2)
    runner = NativeRunner(model, slots=slots, context=min(2 * BLOCK, model.shape.context))
    generator = torch.Generator().manual_seed(0)
    prompts = [
        torch.randint(model.vocabulary, (max(length - number, 2),), generator=generator).tolist()
        for number in range(slots)
    ]
    alone = _logits(runner, prompts[:1])
    mixed = _logits(runner, [*prompts[1:], prompts[0]])
    return torch.equal(alone[-1], mixed[-1])


def _logits(runner: NativeRunner, prompts: Sequence[list[int]]) -> Tensor:
    for slot in range(len(prompts)):
        runner.prefill(Slot(slot), [])
    for start in range(0, max(map(len, prompts)), BLOCK):
        runs = [
            Row(Slot(slot), tuple(prompt[start : min(start + BLOCK, len(prompt) - 1)]), prompt=True)
            for slot, prompt in enumerate(prompts)
        ]
        runner.step([run for run in runs if run.tokens], lambda: _no_masks(0))
    last = [
        Row(Slot(slot), (prompt[-1],), wants_logits=True) for slot, prompt in enumerate(prompts)
    ]
    logits = runner.step(last, lambda: _no_masks(len(last))).values
    for slot in range(len(prompts)):
        runner.free(Slot(slot))
    return logits


def _no_masks(rows: int) -> Masks:
    return np.zeros((rows, 0), dtype=np.int32)
