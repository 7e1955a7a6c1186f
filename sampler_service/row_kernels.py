"""Triton kernels of the forward on CUDA. A row's numbers depend on that row's sequence alone.

Only imported where there is CUDA, and by tests, which have them interpreted.
"""

import triton
import triton.language as tl


@triton.jit
def attend_part(
    query,  # (rows, heads, SIZE), strides below
    keys,  # (places, kv heads, SIZE)
    values,
    bases,  # (rows,): the first place of a row's sequence
    lengths,  # (rows,): of its keys; 0: nobody asks
    parts,  # (rows, kv heads, SPLITS, GROUP, SIZE), float32: weighted sums
    peaks,  # (rows, kv heads, SPLITS, GROUP): highest scores, as powers of 2
    weights,  # (rows, kv heads, SPLITS, GROUP): sums of weights
    scale,  # of the scores, in powers of 2
    query_row,
    query_head,
    place_stride,
    head_stride,
    GROUP: tl.constexpr,
    GROUP_PAD: tl.constexpr,
    SIZE: tl.constexpr,
    SIZE_PAD: tl.constexpr,
    BLOCK: tl.constexpr,
    SPLITS: tl.constexpr,
    SHORTEST: tl.constexpr,
):
    """Look up one of a fixed number of splits of a row's keys, for the heads that share a key head.

    How long splits are depends on the number of keys alone. Milakov and Gimelshein, "Online
    normalizer calculation for softmax", 2018; Dao et al., "Flash-Decoding", 2023.
    """
    row, head, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    length = tl.load(lengths + row)
    step = _split_length(length, BLOCK, SPLITS, SHORTEST)
    start = split * step
    if start < length:
        stop = tl.minimum(start + step, length)
        of_group, of_size = tl.arange(0, GROUP_PAD), tl.arange(0, SIZE_PAD)
        asked = (of_group[:, None] < GROUP) & (of_size[None, :] < SIZE)
        own = query + row * query_row + head * GROUP * query_head
        q = tl.load(own + of_group[:, None] * query_head + of_size[None, :], mask=asked, other=0.0)
        base = tl.load(bases + row).to(tl.int64) * place_stride + head * head_stride
        peak = tl.full((GROUP_PAD,), -float("inf"), tl.float32)
        weight = tl.zeros((GROUP_PAD,), tl.float32)
        total = tl.zeros((GROUP_PAD, SIZE_PAD), tl.float32)
        for place in range(start, stop, BLOCK):
            of_block = place + tl.arange(0, BLOCK)
            there = (of_block[:, None] < stop) & (of_size[None, :] < SIZE)
            offsets = base + of_block[:, None].to(tl.int64) * place_stride + of_size[None, :]
            k = tl.load(keys + offsets, mask=there, other=0.0)
            v = tl.load(values + offsets, mask=there, other=0.0)
            scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
            scores = tl.where(of_block[None, :] < stop, scores, -float("inf"))
            highest = tl.maximum(peak, tl.max(scores, axis=1))
            fading = tl.exp2(peak - highest)
            p = tl.exp2(scores - highest[:, None])
            weight = weight * fading + tl.sum(p, axis=1)
            total = total * fading[:, None] + tl.dot(p.to(v.dtype), v, input_precision="ieee")
            peak = highest
        place = ((row * tl.num_programs(1) + head) * SPLITS + split) * GROUP
        out = parts + (place + of_group[:, None]) * SIZE + of_size[None, :]
        tl.store(out, total, mask=asked)
        tl.store(peaks + place + of_group, peak, mask=of_group < GROUP)
        tl.store(weights + place + of_group, weight, mask=of_group < GROUP)


@triton.jit
def join_parts(
    lengths,
    parts,
    peaks,
    weights,
    out,  # (rows, kv heads, GROUP, SIZE)
    GROUP: tl.constexpr,
    GROUP_PAD: tl.constexpr,
    SIZE: tl.constexpr,
    SIZE_PAD: tl.constexpr,
    BLOCK: tl.constexpr,
    SPLITS: tl.constexpr,
    SHORTEST: tl.constexpr,
):
    """Join the splits of a row in their order; zeros where it has no keys."""
    row, head = tl.program_id(0), tl.program_id(1)
    length = tl.load(lengths + row)
    step = _split_length(length, BLOCK, SPLITS, SHORTEST)
    of_group, of_size = tl.arange(0, GROUP_PAD), tl.arange(0, SIZE_PAD)
    asked = (of_group[:, None] < GROUP) & (of_size[None, :] < SIZE)
    peak = tl.full((GROUP_PAD,), -float("inf"), tl.float32)
    weight = tl.zeros((GROUP_PAD,), tl.float32)
    total = tl.zeros((GROUP_PAD, SIZE_PAD), tl.float32)
    first = (row * tl.num_programs(1) + head) * SPLITS
    for split in range(tl.cdiv(length, step)):
        place = (first + split) * GROUP
        part = parts + (place + of_group[:, None]) * SIZE + of_size[None, :]
        its_peak = tl.load(peaks + place + of_group, mask=of_group < GROUP, other=0.0)
        its_weight = tl.load(weights + place + of_group, mask=of_group < GROUP, other=0.0)
        highest = tl.maximum(peak, its_peak)
        fading, rising = tl.exp2(peak - highest), tl.exp2(its_peak - highest)
        weight = weight * fading + its_weight * rising
        total = total * fading[:, None] + tl.load(part, mask=asked, other=0.0) * rising[:, None]
        peak = highest
    mixed = total / tl.where(weight > 0, weight, 1.0)[:, None]
    place = (row * tl.num_programs(1) + head) * GROUP
    target = out + (place + of_group[:, None]) * SIZE + of_size[None, :]
    tl.store(target, mixed.to(out.dtype.element_ty), mask=asked)


@triton.jit
def _split_length(length, BLOCK: tl.constexpr, SPLITS: tl.constexpr, SHORTEST: tl.constexpr):
    """Return how many keys a split has: whole blocks, the same in all splits but the last."""
    blocks = tl.cdiv(tl.cdiv(length, SPLITS), BLOCK)
    return tl.maximum(blocks * BLOCK, SHORTEST)


@triton.jit
def normalise_row(rows, gain, out, epsilon, SIZE: tl.constexpr, SIZE_PAD: tl.constexpr):
    """Root-mean-square norm of one row with a gain, in float32, rounded before the gain."""
    row, of_size = tl.program_id(0), tl.arange(0, SIZE_PAD)
    there = of_size < SIZE
    wide = tl.load(rows + row * SIZE + of_size, mask=there, other=0.0).to(tl.float32)
    scale = tl.rsqrt(tl.sum(wide * wide, axis=0) / SIZE + epsilon)
    normal = (wide * scale).to(out.dtype.element_ty).to(tl.float32)
    scaled = normal * tl.load(gain + of_size, mask=there, other=0.0).to(tl.float32)
    tl.store(out + row * SIZE + of_size, scaled.to(out.dtype.element_ty), mask=there)


@triton.jit
def rotate_row(
    heads,  # (rows, HEADS, 2 * HALF), strides below
    cosines,  # (rows, 2 * HALF), float32
    sines,
    out,  # contiguous
    row_stride,
    head_stride,
    HEADS: tl.constexpr,
    HEADS_PAD: tl.constexpr,
    HALF: tl.constexpr,
    HALF_PAD: tl.constexpr,
):
    """Rotate the heads of one row to its position, in float32."""
    row, of_head, of_half = tl.program_id(0), tl.arange(0, HEADS_PAD), tl.arange(0, HALF_PAD)
    there = (of_head[:, None] < HEADS) & (of_half[None, :] < HALF)
    own = heads + row * row_stride + of_head[:, None] * head_stride + of_half[None, :]
    left = tl.load(own, mask=there, other=0.0).to(tl.float32)
    right = tl.load(own + HALF, mask=there, other=0.0).to(tl.float32)
    angle = row * 2 * HALF + of_half
    cosine = tl.load(cosines + angle, mask=of_half < HALF, other=0.0)[None, :]
    sine = tl.load(sines + angle + HALF, mask=of_half < HALF, other=0.0)[None, :]
    target = out + (row * HEADS + of_head[:, None]) * 2 * HALF + of_half[None, :]
    tl.store(target, (left * cosine - right * sine).to(out.dtype.element_ty), mask=there)
    tl.store(target + HALF, (right * cosine + left * sine).to(out.dtype.element_ty), mask=there)


@triton.jit
def activate_row(gate_up, out, SIZE: tl.constexpr, BLOCK: tl.constexpr):
    """Return silu of a row's first half, rounded, times its second half."""
    row, of_block = tl.program_id(0), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    there = of_block < SIZE
    own = gate_up + row * 2 * SIZE + of_block
    gate = tl.load(own, mask=there, other=0.0).to(tl.float32)
    up = tl.load(own + SIZE, mask=there, other=0.0).to(tl.float32)
    active = (gate / (1.0 + tl.exp(-gate))).to(out.dtype.element_ty).to(tl.float32)
    tl.store(out + row * SIZE + of_block, (active * up).to(out.dtype.element_ty), mask=there)
