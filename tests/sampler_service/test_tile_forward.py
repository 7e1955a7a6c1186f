"""The tiles that run on CUDA, here without graphs and with attention in plain operations."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sampler_service.attention import Span, SpanAttention
from sampler_service.llama import Llama
from sampler_service.llama_shape import read_shape
from sampler_service.model_folder import read_model_folder
from sampler_service.native_runner import NativeRunner
from sampler_service.runner import BLOCK, Row, Slot
from sampler_service.testing_models import FAMILIES, make_model_folder
from sampler_service.tile_forward import TileForward
from sampler_service.weights import load_weights

CONTEXT = 512
GENERATOR = torch.Generator().manual_seed(5)


@dataclass(frozen=True)
class PlainRows:
    """As `RowAttention`, in the operations of the processor."""

    bases: Tensor
    lengths: Tensor
    rows: int

    def __call__(self, query: Tensor, keys_values: Tensor) -> Tensor:
        asked = zip(self.bases.tolist(), self.lengths[: self.rows].tolist(), strict=False)
        spans = [Span(row, row + 1, base, length) for row, (base, length) in enumerate(asked)]
        singles = tuple(span for span in spans if span.length)
        return SpanAttention(singles, ())(query, keys_values)


def open_model(path: Path) -> Llama:
    folder = read_model_folder(path)
    weights = load_weights(path, dtype=torch.float32, device=torch.device("cpu"))
    shape = read_shape(folder.config, context=CONTEXT)
    return Llama(shape, weights, folder.vocabulary.size)


def tiled(model: Llama, slots: int = 6) -> NativeRunner:
    """A runner as on CUDA, with small tiles."""

    def forward(model: Llama, cache: Tensor) -> TileForward:
        return TileForward(
            model, cache, attend=PlainRows, capture=lambda work: work, sizes=(4, 8, 16)
        )

    return NativeRunner(model, slots=slots, make_forward=forward)


def step(runner: NativeRunner, *rows: Row) -> Tensor:
    wanted = sum(row.wants_logits for row in rows)
    words = (runner.info.vocabulary + 31) // 32
    return runner.step(rows, lambda: np.zeros((wanted, words), dtype=np.int32)).values


def runs(slot: int, prompt: list[int]) -> Iterator[Row]:
    for start in range(0, len(prompt) - 1, BLOCK):
        run = tuple(prompt[start : min(start + BLOCK, len(prompt) - 1)])
        yield Row(Slot(slot), run, prompt=True)


def prefill(runner: NativeRunner, slot: int, prompt: list[int]) -> None:
    runner.prefill(Slot(slot), [])
    for run in runs(slot, prompt):
        step(runner, run)


PROMPT = torch.randint(6, 300, (90,), generator=GENERATOR).tolist()


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_tiles_compute_what_the_ragged_forward_computes(tmp_path: Path, family: str) -> None:
    path = make_model_folder(tmp_path, family)
    ragged = NativeRunner(open_model(path), slots=2)
    tiles = tiled(open_model(path), slots=2)
    logits = []
    for runner in (ragged, tiles):
        prefill(runner, 1, PROMPT)
        row = Row(Slot(1), (*PROMPT[-1:], 7, 8), wants_logits=True)
        logits.append(step(runner, row))
    assert (logits[0] - logits[1]).abs().max() < 2e-4
    assert logits[0].std() > 0.5


class TestRows:
    """Bit for bit, whatever else is computed, as on a processor."""

    @pytest.fixture
    def runner(self, tmp_path: Path) -> NativeRunner:
        return tiled(open_model(make_model_folder(tmp_path)))

    def test_neighbours_and_tiles_change_nothing(self, runner: NativeRunner) -> None:
        prefill(runner, 0, PROMPT)
        alone = step(runner, Row(Slot(0), tuple(PROMPT[-1:]), wants_logits=True))
        for slot in (1, 2, 3):
            prefill(runner, slot, PROMPT[slot : 20 * slot])
        runner.prefill(Slot(4), [])
        runner.prefill(Slot(5), [])
        step(runner, *runs(4, PROMPT[:65]), *runs(5, PROMPT[:33]))  # two prompts in one step
        step(runner, Row(Slot(4), tuple(PROMPT[64:-1]), prompt=True))
        rows = [
            Row(Slot(1), (5, 6, 7), wants_logits=True),
            Row(Slot(2), tuple(range(6, 20))),
            Row(Slot(4), tuple(PROMPT[-1:]), wants_logits=True),
            Row(Slot(3), (9,), wants_logits=True),
        ]
        assert torch.equal(step(runner, *rows)[1], alone[0])

    def test_a_forced_run_equals_one_token_at_a_time(self, runner: NativeRunner) -> None:
        prefill(runner, 0, PROMPT[:70])
        for token in PROMPT[69:89]:
            singly = step(runner, Row(Slot(0), (token,), wants_logits=True))
        prefill(runner, 1, PROMPT[:70])
        run = step(runner, Row(Slot(1), tuple(PROMPT[69:89]), wants_logits=True))
        assert torch.equal(singly, run)

    def test_logits_stay_when_another_step_is_computed(self, runner: NativeRunner) -> None:
        runner.prefill(Slot(0), [])
        first = step(runner, Row(Slot(0), (7,), wants_logits=True))
        kept = first.clone()
        step(runner, Row(Slot(0), (8,), wants_logits=True))
        assert torch.equal(first, kept)

    def test_a_step_without_logits_has_none(self, runner: NativeRunner) -> None:
        runner.prefill(Slot(0), [])
        assert step(runner, Row(Slot(0), (7, 8))).shape == (0, runner.info.vocabulary)
