"""The order on the logits, the distribution that comes out, and that rows do not mix."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from sampler_service import row_sums
from sampler_service.philox import Draw
from sampler_service.row_sampling import RowSampling, adjust, expand_masks
from sampler_service.sampling import Failure, Sampled, sample
from sampler_service.testing_operations import Operations

VOCABULARY = 70


def row(position: int = 0, **changes: object) -> RowSampling:
    return RowSampling(draw=Draw(5, 0, position), **changes)  # type: ignore[arg-type] # fields by name


def masks(*allowed: object) -> Tensor:
    """One row for each: a set of ids, or None for all of them."""
    words = np.zeros((len(allowed), 3), dtype=np.uint32)
    for number, ids in enumerate(allowed):
        for token_id in range(VOCABULARY) if ids is None else ids:  # type: ignore[attr-defined] # a set
            words[number, token_id // 32] |= np.uint32(1 << token_id % 32)
    return torch.from_numpy(words.view(np.int32))


def logits(*values: tuple[int, float]) -> Tensor:
    made = torch.zeros(1, VOCABULARY)
    for token_id, value in values:
        made[0, token_id] = value
    return made


def token(result: Sampled | Failure) -> int:
    assert isinstance(result, Sampled)
    return result.token_id


def counted(values: Tensor, mask: Tensor, draws: int, **changes: object) -> Counter[int]:
    rows = [row(position, **changes) for position in range(draws)]
    results = sample(values.expand(draws, -1), mask.expand(draws, -1), rows)
    return Counter(token(result) for result in results)


def test_masks_expand_bit_by_bit() -> None:
    expanded = expand_masks(masks({0, 31, 32, 69}), VOCABULARY)
    assert expanded.shape == (1, VOCABULARY)
    assert expanded[0].nonzero().flatten().tolist() == [0, 31, 32, 69]


def test_greedy_takes_the_likeliest_allowed_token_and_the_lowest_of_equals() -> None:
    values = logits((3, 9.0), (8, 5.0), (60, 5.0))
    assert token(sample(values, masks(None), [row()])[0]) == 3
    assert token(sample(values, masks({60, 8, 1}), [row()])[0]) == 8


def test_penalties_come_before_the_bias_and_count_sampled_tokens() -> None:
    changed = adjust(
        logits((4, 1.0), (5, 1.0)),
        [
            row(
                presence_penalty=0.5,
                frequency_penalty=0.25,
                counts={4: 2},
                logit_bias={4: 10.0, 6: -3.0},
            )
        ],
    )
    assert changed[0, 4].item() == pytest.approx(1.0 - 0.5 - 0.5 + 10.0)
    assert changed[0, 5].item() == 1.0
    assert changed[0, 6].item() == -3.0


def test_no_bias_can_empty_a_mask() -> None:
    bias = dict.fromkeys(range(VOCABULARY), -1000.0)
    for temperature in (0.0, 1.0, 1e-30):
        chosen = row(logit_bias=bias | {1: 1000.0}, temperature=temperature, top_p=0.01)
        assert token(sample(logits(), masks({7}), [chosen])[0]) == 7


def test_the_likeliest_numbers_that_floats_can_hold_stay_finite() -> None:
    huge = logits((7, 3.4e38), (8, -3.4e38))
    chosen = row(logit_bias={7: 1000.0, 8: -1000.0}, temperature=1.0)
    assert token(sample(huge, masks({7, 8}), [chosen])[0]) == 7


def test_temperature_comes_after_the_mask_and_shapes_the_distribution() -> None:
    values = logits((1, math.log(8.0)), (2, math.log(2.0)), (3, 50.0))
    mask = masks({1, 2})
    draws = 4000
    for temperature, share in ((1.0, 0.8), (0.5, 64 / 68), (2.0, 2 / 3)):
        found = counted(values, mask, draws, temperature=temperature)
        assert set(found) == {1, 2}
        error = 4 * math.sqrt(share * (1 - share) / draws)
        assert found[1] / draws == pytest.approx(share, abs=error)


def test_top_p_keeps_the_fewest_tokens_that_hold_it() -> None:
    values = logits(*((n, math.log(w)) for n, w in ((1, 5.0), (2, 3.0), (3, 1.5), (4, 0.5))))
    mask = masks({1, 2, 3, 4})
    kept = {
        top_p: set(counted(values, mask, 400, temperature=1.0, top_p=top_p))
        for top_p in (0.0, 0.4, 0.5, 0.6, 0.9, 1.0)
    }
    assert kept == {
        0.0: {1},
        0.4: {1},
        0.5: {1},
        0.6: {1, 2},
        0.9: {1, 2, 3},
        1.0: {1, 2, 3, 4},
    }


def test_logprobs_are_of_the_raw_logits() -> None:
    values = logits((1, 3.0), (2, 2.0), (3, 1.0))
    options = row(logit_bias={1: -100.0}, temperature=0.0, top_logprobs=2)
    result = sample(values, masks({2}), [options])[0]
    expected = torch.log_softmax(values[0], -1)
    assert isinstance(result, Sampled)
    assert result.token_id == 2
    assert result.logprob == pytest.approx(expected[2].item())
    assert [token_id for token_id, _ in result.top] == [1, 2]
    assert result.top[0][1] == pytest.approx(expected[1].item())


def test_logprobs_of_allowed_tokens_are_a_distribution_over_these() -> None:
    values = logits((1, 3.0), (2, 2.0), (3, 1.0))
    options = row(temperature=0.0, top_logprobs=5, of_allowed=True)
    result = sample(values, masks({2, 3}), [options])[0]
    assert isinstance(result, Sampled)
    expected = torch.log_softmax(torch.tensor([2.0, 1.0]), -1).tolist()
    assert [token_id for token_id, _ in result.top] == [2, 3]
    assert [value for _, value in result.top] == pytest.approx(expected)
    assert result.logprob == pytest.approx(expected[0])


def test_the_likeliest_token_is_told_whether_allowed_or_not() -> None:
    values = logits((1, 3.0), (2, 2.0)).expand(2, -1)
    rows = [row(wants_likeliest=True, logit_bias={5: 100.0}), row()]
    first, second = sample(values, masks({2}, {2}), rows)
    assert isinstance(first, Sampled)
    assert isinstance(second, Sampled)
    assert (first.token_id, first.likeliest) == (2, 1)
    assert second.likeliest is None


def test_no_logprobs_are_made_for_rows_that_want_none_and_zero_top_means_none() -> None:
    values = logits((1, 3.0)).expand(2, -1)
    first, second = sample(values, masks(None, None), [row(), row(top_logprobs=0)])
    assert isinstance(first, Sampled)
    assert isinstance(second, Sampled)
    assert (first.logprob, first.top) == (None, ())
    assert second.logprob is not None
    assert second.top == ()


def test_a_row_that_is_not_finite_or_has_no_token_fails_alone() -> None:
    values = logits((3, 1.0)).repeat(4, 1)
    values[1, 60] = float("nan")
    values[2, 0] = float("inf")
    results = sample(values, masks({3}, None, None, set()), [row(temperature=1.0)] * 4)
    assert results[0] == Sampled(3)
    assert results[1:] == [Failure.NOT_FINITE, Failure.NOT_FINITE, Failure.EMPTY_MASK]


@pytest.mark.parametrize("vocabulary", [70, 2048, 5003])
def test_a_row_is_sampled_alike_alone_and_in_any_company(vocabulary: int) -> None:
    generator = torch.Generator().manual_seed(3)
    values = torch.randn(13, vocabulary, generator=generator) * 4
    words = torch.full((13, (vocabulary + 31) // 32), -1, dtype=torch.int32)
    words[::3, 0] = 0b1010110
    rows = [
        row(
            number,
            temperature=(0.0, 0.7, 1.3)[number % 3],
            top_p=(1.0, 0.9)[number % 2],
            top_logprobs=(None, 5)[number % 2],
            counts={1: 2, 4: 1},
            presence_penalty=0.3,
            logit_bias={2: 1.5},
        )
        for number in range(13)
    ]
    together = sample(values, words, rows)
    for number in range(13):
        alone = sample(values[number : number + 1], words[number : number + 1], [rows[number]])
        assert alone == together[number : number + 1]
    for size in (2, 5, 8):
        assert sample(values[:size], words[:size], rows[:size]) == together[:size]


def many_rows(count: int) -> tuple[Tensor, Tensor, list[RowSampling]]:
    """Rows of which some are greedy, some have a tail cut off, and some have neither."""
    values = torch.randn(count, VOCABULARY, generator=torch.Generator().manual_seed(7)) * 3
    rows = [
        row(number, temperature=(0.0, 0.8, 1.2)[number % 3], top_p=(1.0, 0.7)[number % 2])
        for number in range(count)
    ]
    return values, masks({1, 8, 60}, None).repeat(count // 2, 1), rows


@pytest.mark.parametrize("size", [1, 5, 64])
def test_slices_of_any_size_pick_the_same_tokens(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    many = many_rows(150)
    monkeypatch.setattr(row_sums, "ROWS", 150)
    whole = sample(*many)
    monkeypatch.setattr(row_sums, "ROWS", size)
    assert sample(*many) == whole


def test_weights_of_all_rows_are_never_held_at_once() -> None:
    counts: list[int] = []

    def see(_: object, __: object, made: object) -> None:
        if isinstance(made, Tensor) and made.dtype == torch.float64 and made.shape[-1:] != (1,):
            counts.append(len(made))

    with Operations(see):
        sample(*many_rows(150))
    assert max(counts) == row_sums.ROWS


def test_nothing_is_picked_of_no_rows() -> None:
    assert sample(torch.zeros(0, VOCABULARY), masks(None)[:0], []) == []
