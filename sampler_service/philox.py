"""Counter-based random numbers: Philox-4x32-10.

Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. A number
depends on its key and counter only, so that it can be had in any order and for any batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 10
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)

Words = NDArray[np.uint64]


@dataclass(slots=True)
class Draw:
    """Names one random number: of a request's seed, one of its choices, one of its tokens."""

    seed: int
    choice: int
    position: int


def philox(counter: Words, key: Words) -> Words:
    """Return random words.

    Args:
        counter: Shape (n, 4), 32-bit words.
        key: Shape (n, 2), 32-bit words.

    Returns:
        Shape (n, 4), 32-bit words.
    """
    first, second, third, fourth = (counter[:, column] for column in range(4))
    left, right = key[:, 0], key[:, 1]
    for _ in range(_ROUNDS):
        upper, lower = first * _MULTIPLIERS[0], third * _MULTIPLIERS[1]
        first, second, third, fourth = (
            (lower >> _SHIFT) ^ second ^ left,
            lower & _LOW,
            (upper >> _SHIFT) ^ fourth ^ right,
            upper & _LOW,
        )
        left, right = (left + _WEYL[0]) & _LOW, (right + _WEYL[1]) & _LOW
    return np.stack((first, second, third, fourth), axis=1)


def uniforms(draws: Sequence[Draw]) -> NDArray[np.float64]:
    """Return one number in [0, 1) for each draw, with 53 random bits."""
    seeds = np.array([draw.seed for draw in draws], dtype=np.uint64)
    counter = np.zeros((len(draws), 4), dtype=np.uint64)
    counter[:, 0] = [draw.position for draw in draws]
    counter[:, 1] = [draw.choice for draw in draws]
    words = philox(counter, np.stack((seeds & _LOW, seeds >> _SHIFT), axis=1))
    bits = ((words[:, 0] << _SHIFT) | words[:, 1]) >> np.uint64(11)
    return bits.astype(np.float64) * 2.0**-53
