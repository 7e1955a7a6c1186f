"""Triton kernels that pick a token of every row. A row's token depends on that row alone.

Only imported where there is CUDA, and by tests, which have them interpreted.
"""

import triton
import triton.language as tl

_NO_TOKEN: tl.constexpr = tl.constexpr(0x7FFFFFFF)


@triton.jit
def race_part(
    logits,  # (rows, vocabulary), float32, strides below
    adjusted,  # the same after penalties and bias; minus infinity for tails that are cut off
    masks,  # (rows, words)
    draws,  # (rows, 5): seed, low word first, choice, position, bits of the temperature
    scores,  # (rows, parts), float32: the winner's
    peaks,  # (rows, parts), float32: the highest logit
    winners,  # (rows, parts)
    likeliest,  # (rows, parts): the token of the highest logit
    flags,  # (rows, parts): 1: all are finite; 2: one is allowed
    vocabulary,
    words,
    logit_stride,
    adjusted_stride,
    mask_stride,
    QUARTER: tl.constexpr,
):
    """Race four times QUARTER tokens of a row; the lowest of equal ones wins."""
    row, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    of_quarter = tl.arange(0, QUARTER)
    noise = _noise(draws + row * 5, part * QUARTER + of_quarter)
    temperature = tl.load(draws + row * 5 + 4).to(tl.float32, bitcast=True)
    best = tl.full((QUARTER,), -float("inf"), tl.float32)
    peak = tl.full((QUARTER,), -float("inf"), tl.float32)
    winner = tl.full((QUARTER,), _NO_TOKEN, tl.int32)
    likely = tl.full((QUARTER,), _NO_TOKEN, tl.int32)
    finite = tl.full((QUARTER,), 1, tl.int32)
    possible = tl.full((QUARTER,), 0, tl.int32)
    for quarter in tl.static_range(4):
        ids = (part * 4 + quarter) * QUARTER + of_quarter
        there = ids < vocabulary
        logit = tl.load(logits + row * logit_stride + ids, mask=there, other=0.0)
        finite = finite & (tl.abs(logit) < float("inf")).to(tl.int32)
        logit = tl.where(there, logit, -float("inf"))
        likely = tl.where(logit > peak, ids, likely)
        peak = tl.maximum(peak, logit)
        word = tl.load(masks + row * mask_stride + ids // 32, mask=ids // 32 < words, other=0)
        allowed = ((word >> (ids % 32)) & 1) & there.to(tl.int32)
        possible = possible | allowed
        own = tl.load(adjusted + row * adjusted_stride + ids, mask=there, other=0.0)
        score = tl.where(allowed != 0, own + temperature * noise[quarter], -float("inf"))
        winner = tl.where(score > best, ids, winner)
        best = tl.maximum(best, score)
    place = row * tl.num_programs(1) + part
    _store_best(scores, winners, place, best, winner)
    _store_best(peaks, likeliest, place, peak, likely)
    tl.store(flags + place, tl.min(finite, axis=0) + 2 * tl.max(possible, axis=0))


@triton.jit
def _noise(draw, counters):
    """Return four of Gumbel's numbers for each counter, by Philox-4x32-10 (see `philox`)."""
    low, high = tl.load(draw).to(tl.uint32, bitcast=True), tl.load(draw + 1)
    seed = (high.to(tl.uint32, bitcast=True).to(tl.uint64) << 32) | low.to(tl.uint64)
    zeros = counters * 0
    # the last word keeps these numbers apart from those of `uniforms`
    first, second, third, fourth = tl.philox(
        seed, zeros + tl.load(draw + 3), zeros + tl.load(draw + 2), counters, zeros + 1
    )
    return _gumbel(first), _gumbel(second), _gumbel(third), _gumbel(fourth)


@triton.jit
def _gumbel(bits):
    """Return -log(-log(1 - u)) of a number u in (0, 1): finite, and fine where it is high."""
    u = tl.minimum((bits.to(tl.float32) + 0.5) * 2.0**-32, 1.0 - 2.0**-24)
    # the first terms of -log(1 - u), whose logarithm would lose what is small
    small = u * (1.0 + u * (0.5 + u * (1.0 / 3.0 + u * (0.25 + u * 0.2))))
    return -tl.log(tl.where(u < 0.03125, small, -tl.log(1.0 - u)))


@triton.jit
def _store_best(values, tokens, place, value, token):
    highest = tl.max(value, axis=0)
    tl.store(values + place, highest)
    tl.store(tokens + place, tl.min(tl.where(value == highest, token, _NO_TOKEN), axis=0))


@triton.jit
def join_races(
    scores,
    peaks,
    winners,
    likeliest,
    flags,
    out,  # (rows, 4): winner, likeliest, all are finite, one is allowed
    parts,
    vocabulary,
    PARTS_PAD: tl.constexpr,
):
    """Find the winner of all parts of a row; any token where nothing is allowed."""
    row, of_parts = tl.program_id(0), tl.arange(0, PARTS_PAD)
    there, place = of_parts < parts, row * parts + of_parts
    winner = _find_best(scores + place, winners + place, there)
    likely = _find_best(peaks + place, likeliest + place, there)
    flag = tl.load(flags + place, mask=there, other=1)
    last = vocabulary - 1
    tl.store(out + row * 4, tl.minimum(winner, last))
    tl.store(out + row * 4 + 1, tl.minimum(likely, last))
    tl.store(out + row * 4 + 2, tl.min(flag & 1, axis=0))
    tl.store(out + row * 4 + 3, tl.max(flag >> 1, axis=0))


@triton.jit
def _find_best(values, tokens, there):
    value = tl.load(values, mask=there, other=-float("inf"))
    token = tl.load(tokens, mask=there, other=_NO_TOKEN)
    return tl.min(tl.where(value == tl.max(value, axis=0), token, _NO_TOKEN), axis=0)
