"""What a step uploads late, for rows that were held or are being closed, makes no one wait.

A device that is only described stands in for a GPU: copies to it are asked for in the same way.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor

from sampler_service import closing_rows
from sampler_service.model_folder import ModelFolder
from sampler_service.philox import Draw
from sampler_service.ready_rows import ReadyRows, gather_ready
from sampler_service.row_sampling import RowSampling
from sampler_service.runner import Logits, Masks
from sampler_service.sampling import Sampled
from sampler_service.sequence import Sequence as Generation
from sampler_service.sequence import TokenRules
from sampler_service.testing_batches import opening
from sampler_service.testing_operations import Operations
from sampler_service.token_masks import StepMasks

DEVICE = torch.device("meta")
VOCABULARY, WORDS = 64, 2


@contextmanager
def copies() -> Iterator[list[bool]]:
    """Yield what comes to hold, of every copy to the device, whether somebody waited for it."""
    waited: list[bool] = []

    def see(operation: object, given: Mapping[str, object], _: object) -> None:
        if operation is torch.ops.aten._to_copy.default and given.get("device") == DEVICE:
            waited.append(not given.get("non_blocking"))

    with Operations(see):
        yield waited


class Closing(Generation):
    """A sequence in which no token leaves room for an ending."""

    def leaves_room(self, token_id: int) -> bool:
        return False

    def fill_closing_mask(self, out: Masks) -> None:
        out[0] = 1


@pytest.fixture
def generation(rules: TokenRules) -> Generation:
    return Closing(opening(1, options={"close_in_time": True}), rules, arrival=1, now=0.0)


@pytest.fixture
def rules(folder: ModelFolder) -> TokenRules:
    return TokenRules(folder.vocabulary, 1024, None)


def test_masks_of_held_rows_are_uploaded_behind_what_is_queued(generation: Generation) -> None:
    generation.logits = torch.zeros(VOCABULARY, device=DEVICE)
    masks = StepMasks(np.zeros((1, WORDS), dtype=np.int32), np.zeros(1, dtype=np.bool_))
    with copies() as waited:
        [ready] = gather_ready([generation], None, masks)
    assert ready.logits.masks.device == DEVICE
    assert waited == [False]


def test_masks_of_closing_rows_are_uploaded_behind_what_is_queued(
    generation: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sample(values: Tensor, masks: Tensor, rows: Sequence[RowSampling]) -> list[Sampled]:
        assert (values.device, masks.device) == (DEVICE, DEVICE)
        return [Sampled(7) for _ in rows]

    monkeypatch.setattr(closing_rows, "sample", sample)
    logits = Logits(torch.zeros(1, VOCABULARY, device=DEVICE), torch.zeros(1, WORDS))
    masks, late = np.zeros((1, WORDS), dtype=np.int32), np.zeros(1, dtype=np.bool_)
    ready = ReadyRows([generation], logits, masks, late)
    with copies() as waited:
        results = closing_rows.leave_room(ready, [Sampled(3)], [RowSampling(Draw(0, 0, 0))])
    assert results == [Sampled(7)]
    assert waited == [False, False]
