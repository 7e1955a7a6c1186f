"""The published known answers of Philox-4x32-10, and what the sampler makes of them."""

import numpy as np
import pytest

from sampler_service.philox import Draw, philox, uniforms


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        (
            [0xFFFFFFFF] * 4,
            [0xFFFFFFFF] * 2,
            [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
        ),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_it_gives_the_known_answers_of_random123(
    counter: list[int], key: list[int], expected: list[int]
) -> None:
    words = philox(np.array([counter], dtype=np.uint64), np.array([key], dtype=np.uint64))
    assert words[0].tolist() == expected


def test_a_number_depends_on_seed_choice_and_position_only() -> None:
    draws = [
        Draw(seed, choice, at) for seed in (0, 2**64 - 1) for choice in (0, 1) for at in (0, 9)
    ]
    together = uniforms(draws)
    assert [float(uniforms([draw])[0]) for draw in draws] == together.tolist()
    assert len(set(together.tolist())) == len(draws)


def test_numbers_are_spread_evenly() -> None:
    numbers = uniforms([Draw(7, 0, position) for position in range(20_000)])
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts, _ = np.histogram(numbers, bins=20, range=(0, 1))
    # chi-squared with 19 degrees of freedom: 43.8 is exceeded once in a thousand
    assert float(((counts - 1000) ** 2 / 1000).sum()) < 43.8
