"""Starts the model with heads that already look things up, instead of waiting for them to form.

Copying needs two heads in a row (an "induction" pair): one that brings the previous tokens to a
place, one that finds the place whose previous tokens are the current ones. Both can be written
down, so the first two layers begin as such pairs; training then refines or overwrites them.
In the residual stream, dimensions 0-127 hold a token's identity, 128-191 the previous token's,
192-254 that of the one before, and 255 a constant (which moves all logits alike).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.training.llama import Attention, Layer, Llama

HEAD, HALF = 64, 32
IDENTITY, PREVIOUS, EARLIER, CONSTANT = 0, 128, 192, 255
IDENTITY_SCALE, REST_SCALE, CONSTANT_SCALE = 0.07, 0.01, 0.3
# How much of a capitalised token's identity is that of its lower-case form (a squared cosine).
TWIN_SHARE = 0.5
# Rotary pairs from this index on turn so slowly that content can be compared across a context.
SLOW_PAIR = 18
# For each head of the second layer: whether it compares two tokens, and its first dimension.
MATCHES = ((False, 0), (True, 0), (True, 28), (False, 28))
SLOW_ROWS = [*range(SLOW_PAIR, HALF), *range(HALF + SLOW_PAIR, HEAD)]


@torch.no_grad()
def write_copying_heads(model: Llama, twins: Mapping[int, int] | None = None) -> None:
    """Overwrite the embedding and the first two layers' attention of a 256-wide, 4-headed model.

    Twins are tokens (capitalised: lower case) that begin alike, so that `City` is found as `city`.
    """
    _embedding(model.model.embed_tokens, twins or {})
    layers = [cast("Layer", layer) for layer in model.model.layers]
    for layer in layers:
        layer.mlp.down_proj.weight.mul_(0.2)
        layer.self_attn.o_proj.weight.mul_(0.2)
    shift, match = layers[0].self_attn, layers[1].self_attn
    _shift_head(shift, 0, 1, PREVIOUS)
    _shift_head(shift, 1, 2, EARLIER)
    for head, (bigram, start) in enumerate(MATCHES):
        _match_head(match, head, bigram=bigram, start=start)


def twins_of(vocabulary: Mapping[str, int]) -> dict[int, int]:
    """Return every capitalised token whose lower-case form is a token too."""
    return {
        index: vocabulary[token.lower()]
        for token, index in vocabulary.items()
        if token[:1].isupper() and token.lower() in vocabulary
    }


def _embedding(table: nn.Embedding, twins: Mapping[int, int]) -> None:
    table.weight.normal_(std=REST_SCALE)
    identity = table.weight[:, :PREVIOUS].normal_(std=IDENTITY_SCALE)
    capitals, plain = list(twins.keys()), list(twins.values())
    own, shared = (1 - TWIN_SHARE) ** 0.5, TWIN_SHARE**0.5
    identity[capitals] = own * identity[capitals] + shared * identity[plain]
    table.weight[:, CONSTANT] = CONSTANT_SCALE


def _rows(projection: Tensor, head: int) -> Tensor:
    """Return the rows of a projection's weight that belong to a head, emptied."""
    rows = projection[head * HEAD : (head + 1) * HEAD]
    rows.mul_(0.2)
    return rows


def _shift_head(attention: Attention, head: int, offset: int, target: int) -> None:
    """Make a head bring the identity of the token `offset` before to `target`."""
    theta = attention.config.rope_theta
    angles = offset * theta ** -(torch.arange(HALF) / HALF)
    query = _rows(attention.q_proj.weight, head)
    key = _rows(attention.k_proj.weight, head)
    query[:HALF, CONSTANT] = 1.2
    key[:HALF, CONSTANT] = 1.2 * angles.cos()
    key[HALF:, CONSTANT] = 1.2 * angles.sin()
    size = min(HEAD, CONSTANT - target)
    _carry(attention, head, (IDENTITY, target), size, 0.23)


def _match_head(attention: Attention, head: int, *, bigram: bool, start: int) -> None:
    """Make a head find where the last one or two tokens stood before, and copy what follows."""
    query = _rows(attention.q_proj.weight, head)
    key = _rows(attention.k_proj.weight, head)
    half = len(SLOW_ROWS) // 2
    for index, row in enumerate(SLOW_ROWS):
        earlier = bigram and index >= half
        dimension = start + index
        query[row, (PREVIOUS if earlier else IDENTITY) + dimension] = 1.75
        key[row, (EARLIER if earlier else PREVIOUS) + dimension] = 1.75
    half_start = HEAD * (head % 2)
    _carry(attention, head, (half_start, half_start), HEAD, 0.38)


def _carry(attention: Attention, head: int, route: tuple[int, int], size: int, gain: float) -> None:
    """Make a head's value carry dimensions along a route (from, to)."""
    source, target = route
    value = _rows(attention.v_proj.weight, head)
    index = torch.arange(size)
    value[index, source + index] = gain
    attention.o_proj.weight[target + index, head * HEAD + index] = gain
