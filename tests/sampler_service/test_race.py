"""The race that picks tokens on CUDA, interpreted, against the operations of the processor."""

import math
import os
from collections import Counter

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

os.environ["TRITON_INTERPRET"] = "1"  # read when triton is imported
pytest.importorskip("triton", reason="the extra 'gpu', whose kernels are interpreted here")

from sampler_service import race_picking, row_sums
from sampler_service.philox import Draw, philox
from sampler_service.picking import pick_rows
from sampler_service.race_picking import race_rows
from sampler_service.row_sampling import RowSampling, expand_masks

QUARTER = 64
VOCABULARY = 700  # three parts
WORDS = (VOCABULARY + 31) // 32
GENERATOR = torch.Generator().manual_seed(5)
ALL = torch.full((1, WORDS), -1, dtype=torch.int32)
FEW = [2, 31, 40, 255, 256, 699]


def row(position: int = 0, temperature: float = 1.0, **changes: object) -> RowSampling:
    return RowSampling(Draw(2**63 + 5, 0, position), temperature, **changes)  # type: ignore[arg-type] # fields by name


def mask(*allowed: int) -> Tensor:
    bits = torch.zeros(WORDS * 32, dtype=torch.int64)
    bits[list(allowed)] = 1
    words = (bits.view(WORDS, 32) << torch.arange(32)).sum(1)
    return torch.where(words >= 2**31, words - 2**32, words).to(torch.int32).unsqueeze(0)


def random_rows(count: int) -> tuple[Tensor, Tensor]:
    logits = torch.randn(count, VOCABULARY, generator=GENERATOR)
    masks = torch.randint(-(2**31), 2**31, (count, WORDS), generator=GENERATOR)
    return logits, masks.to(torch.int32)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race_picking, "QUARTER", QUARTER)


class TestGreedy:
    """Without temperature everything is as on a processor."""

    def test_picks_are_those_of_the_processor(self) -> None:
        logits, masks = random_rows(9)
        rows = [row(temperature=0.0, wants_likeliest=True)] * 9
        assert torch.equal(race_rows(logits, masks, rows), pick_rows(logits, masks, rows))

    def test_the_lowest_of_equal_tokens_wins(self) -> None:
        picked = race_rows(torch.zeros(1, VOCABULARY), mask(699, 256, 70, 71), [row(0, 0.0)])
        assert picked[0].tolist() == [70, 0, 1, 1]

    def test_penalties_and_bias_come_before_the_mask(self) -> None:
        logits, masks = random_rows(4)
        rows = [
            row(temperature=0.0, logit_bias={7: 40.0}),
            row(temperature=0.0, logit_bias={7: -1e39}),
            row(temperature=0.0, counts={8: 2}, presence_penalty=-30.0),
            row(temperature=0.0, counts={8: 2}, frequency_penalty=-15.0),
        ]
        found, expected = race_rows(logits, masks, rows), pick_rows(logits, masks, rows)
        assert torch.equal(found[:, [0, 2, 3]], expected[:, [0, 2, 3]])


class TestFailures:
    """What cannot be sampled is seen, in every part of a row."""

    @pytest.mark.parametrize("place", [0, 255, 256, 699])
    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_numbers_that_are_not_finite(self, place: int, value: float) -> None:
        logits = torch.zeros(2, VOCABULARY)
        logits[0, place] = value
        picked = race_rows(logits, ALL.expand(2, -1), [row(), row()])
        assert picked[:, 2].tolist() == [0, 1]
        assert 0 <= int(picked[0, 0]) < VOCABULARY

    def test_a_mask_of_nothing_that_has_logits(self) -> None:
        beyond = ALL.clone()
        beyond[:, : VOCABULARY // 32] = 0
        beyond[:, VOCABULARY // 32] = -1 << VOCABULARY % 32
        picked = race_rows(torch.zeros(2, VOCABULARY), torch.cat((beyond, mask(3))), [row(), row()])
        assert picked[:, 3].tolist() == [0, 1]
        assert 0 <= int(picked[0, 0]) < VOCABULARY


def noise(draw: Draw) -> NDArray[np.float64]:
    """Gumbel's numbers of a row's tokens, in double precision: one for each, in their order."""
    parts = -(-VOCABULARY // (4 * QUARTER))
    counter = np.zeros((parts * QUARTER, 4), dtype=np.uint64)
    counter[:, 0], counter[:, 1], counter[:, 3] = draw.position, draw.choice, 1
    counter[:, 2] = np.arange(parts * QUARTER)
    words = np.array([[draw.seed & 0xFFFFFFFF, draw.seed >> 32]], dtype=np.uint64)
    random = philox(counter, words.repeat(parts * QUARTER, axis=0)).astype(np.float64)
    u = np.minimum((random + 0.5) * 2.0**-32, 1 - 2.0**-24)
    of_tokens = u.reshape(parts, QUARTER, 4).transpose(0, 2, 1).ravel()[:VOCABULARY]
    return -np.log(-np.log1p(-of_tokens))


class TestDraws:
    """Who wins, and how often."""

    @pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
    def test_the_highest_sum_of_logit_and_noise_wins(self, temperature: float) -> None:
        logits, masks = random_rows(4)
        rows = [row(position, temperature) for position in range(4)]
        allowed = expand_masks(masks, VOCABULARY).numpy()
        for number, one in enumerate(rows):
            scores = logits[number].double().numpy() + temperature * noise(one.draw)
            expected = int(np.where(allowed[number], scores, -np.inf).argmax())
            part = slice(number, number + 1)
            assert race_rows(logits[part], masks[part], [one])[0, 0] == expected

    def test_the_noise_makes_the_shares_of_the_softmax(self) -> None:
        logits, draws = np.array([0.0, 1.0, 0.5, -1.0, 2.0, 1.5]), 3000
        found = Counter[int]()
        for position in range(draws // 100):
            of_row = noise(Draw(9, 0, position))[:600].reshape(100, 6)
            found.update((logits + of_row).argmax(axis=1).tolist())
        expected = np.exp(logits) / np.exp(logits).sum() * draws
        surprise = sum((found[n] - expected[n]) ** 2 / expected[n] for n in range(6))
        assert surprise < 20.5  # chi-square, 5 degrees of freedom: one seed in a thousand

    def test_the_tail_behind_top_p_is_never_drawn(self) -> None:
        logits = torch.zeros(1, VOCABULARY)
        logits[0, FEW] = torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0, 0.0])
        rows = [row(position, top_p=0.8) for position in range(8)]
        picked = race_rows(logits.expand(8, -1), mask(*FEW).expand(8, -1), rows)
        assert set(picked[:, 0].tolist()) == set(FEW[:2])


class TestRows:
    """A row's token depends on that row alone."""

    def test_rows_alone_and_together(self) -> None:
        logits, masks = random_rows(6)
        rows = [
            row(1),
            row(2, 0.0),
            row(3, top_p=0.9),
            row(4, 2.0),
            row(5, logit_bias={3: 5.0}),
            row(6, top_p=0.5),
        ]
        together = race_rows(logits, masks, rows)
        for number, one in enumerate(rows):
            part = slice(number, number + 1)
            assert torch.equal(race_rows(logits[part], masks[part], [one])[0], together[number])

    def test_tails_that_are_cut_in_slices_change_no_token(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        logits, masks = random_rows(7)
        rows = [row(number, top_p=(0.4, 1.0, 0.8)[number % 3]) for number in range(7)]
        whole = race_rows(logits, masks, rows)
        monkeypatch.setattr(row_sums, "ROWS", 2)
        assert torch.equal(race_rows(logits, masks, rows), whole)

    def test_seed_choice_and_position_each_change_the_draw(self) -> None:
        draws = [Draw(1, 0, 0), Draw(2, 0, 0), Draw(2**40 + 1, 0, 0), Draw(1, 1, 0), Draw(1, 0, 1)]
        rows = [RowSampling(draw, 1.0) for draw in draws]
        count = len(draws)
        picked = race_rows(torch.zeros(count, VOCABULARY), ALL.expand(count, -1), rows)
        assert len(set(picked[:, 0].tolist())) == count
