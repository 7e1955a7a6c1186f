"""The native forward of Llama-type models.

Row for row its numbers do not depend on what else is computed with it: linear layers run over
tiles of rows (see `tiles`), the rest of a layer is elementwise or within a row, and attention
runs for one sequence at a time in shapes that depend on that sequence alone. (He et al., "Defeating
Nondeterminism in LLM Inference", 2025, has the idea for GPUs.)
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from sampler_service.llama_shape import LlamaShape
from sampler_service.model_folder import ModelFolderError
from sampler_service.rope import rope_tables, rotate
from sampler_service.tiles import UNCUT, find_tilings, multiply
from sampler_service.weights import Weights


@dataclass(frozen=True)
class Linear:
    """One linear layer, or several with the same input."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, rows: Tensor, cuts: tuple[int, ...]) -> Tensor:
        """Return (rows, out) of (rows, in), in these tiles."""
        return multiply(rows, self.weight, self.bias, cuts)


@dataclass(frozen=True)
class Norm:
    """Root-mean-square norm with a gain (Zhang and Sennrich 2019), in float32."""

    gain: Tensor
    epsilon: float

    def __call__(self, rows: Tensor) -> Tensor:
        """Return the rows with their last dimension normalised."""
        wide = rows.float()
        scale = (wide * wide).mean(-1, keepdim=True).add_(self.epsilon).rsqrt_()
        return (wide * scale).to(rows.dtype) * self.gain


@dataclass(frozen=True)
class Layer:
    """The parts of one transformer layer."""

    attention_norm: Norm
    qkv: Linear
    q_norm: Norm | None
    k_norm: Norm | None
    output: Linear
    mlp_norm: Norm
    gate_up: Linear
    down: Linear


@dataclass(frozen=True)
class Span:
    """Rows `start` to `stop` of a step: tokens of one slot.

    Their keys and values stand behind row `base` of the cache; `length` is how many there are with
    these. `mask` is None where plain causality or none at all is right.
    """

    start: int
    stop: int
    base: int
    length: int
    mask: Tensor | None = None


@dataclass(frozen=True)
class StepPlan:
    """One ragged step, padded to whole tiles: single tokens first, then runs of prompts.

    `tokens`, `positions` and `places` (rows of the cache to write) have one entry per row; `cuts`
    are the tiles.
    """

    tokens: Tensor
    positions: Tensor
    places: Tensor
    cuts: tuple[int, ...]
    singles: tuple[Span, ...]
    runs: tuple[Span, ...]


class Llama:
    """Weights and arithmetic of one model.

    Args:
        shape: Its sizes.
        weights: Taken from, all of them.
        vocabulary: How many ids the tokenizer has; logits are of these, not of padding behind them.
        seeded: Cut rows so that a row's numbers do not depend on its neighbours.

    Raises:
        ModelFolderError: The weights do not have this shape.
    """

    def __init__(
        self, shape: LlamaShape, weights: Weights, vocabulary: int, *, seeded: bool = True
    ) -> None:
        if vocabulary > shape.vocabulary:
            raise ModelFolderError(f"{vocabulary} tokens, but weights of {shape.vocabulary}")
        self.shape = shape
        self.vocabulary = vocabulary
        self._embedding = weights.take("model.embed_tokens.weight", shape.vocabulary, shape.hidden)
        self._layers = [_take_layer(shape, weights, number) for number in range(shape.layers)]
        self._norm = Norm(weights.take("model.norm.weight", shape.hidden), shape.epsilon)
        self._head = Linear(_take_head(shape, weights, self._embedding)[:vocabulary], None)
        weights.check_all_taken()
        self.tilings = find_tilings(self._linear_weights()) if seeded else UNCUT
        device = self._embedding.device
        self._cosines, self._sines = rope_tables(shape.rope, shape.head_dim, shape.context, device)

    @property
    def dtype(self) -> torch.dtype:
        """The number type of the weights."""
        return self._embedding.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._embedding.device

    def forward(self, plan: StepPlan, cache: Tensor) -> Tensor:
        """Return the final hidden state of every row, writing keys and values on the way.

        Args:
            plan: The step.
            cache: Shape (layers, 2, places, kv heads, head_dim).
        """
        rope = self._cosines[plan.positions], self._sines[plan.positions]
        hidden = self._embedding[plan.tokens]
        for layer, keys_values in zip(self._layers, cache, strict=True):
            hidden = hidden + self._attend(
                layer, layer.attention_norm(hidden), plan, rope, keys_values
            )
            hidden = hidden + _feed_forward(layer, layer.mlp_norm(hidden), plan)
        return self._norm(hidden)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return logits, float32, of some rows of the hidden state."""
        count, tiling = hidden.shape[0], self.tilings.tokens
        padded = functional.pad(hidden, (0, 0, 0, tiling.pad(count) - count))
        return self._head(padded, tiling.cut(padded.shape[0]))[:count].float()

    def _linear_weights(self) -> Iterator[Tensor]:
        yield self._head.weight
        for layer in self._layers:
            for linear in (layer.qkv, layer.output, layer.gate_up, layer.down):
                yield linear.weight

    def _attend(
        self,
        layer: Layer,
        hidden: Tensor,
        plan: StepPlan,
        rope: tuple[Tensor, Tensor],
        keys_values: Tensor,
    ) -> Tensor:
        shape, rows = self.shape, hidden.shape[0]
        heads = layer.qkv(hidden, plan.cuts).view(rows, -1, shape.head_dim)
        turning, value = torch.split(heads, [shape.heads + shape.kv_heads, shape.kv_heads], dim=1)
        if layer.q_norm is not None and layer.k_norm is not None:
            query, key = torch.split(turning, [shape.heads, shape.kv_heads], dim=1)
            turning = torch.cat((layer.q_norm(query), layer.k_norm(key)), dim=1)
        query, key = torch.split(rotate(turning, *rope), [shape.heads, shape.kv_heads], dim=1)
        keys_values[0].index_copy_(0, plan.places, key)
        keys_values[1].index_copy_(0, plan.places, value)
        mixed = query.new_zeros(query.shape)
        for span in plan.singles:
            _attend_single(span, query, keys_values, mixed)
        for span in plan.runs:
            _attend_run(span, query, keys_values, mixed)
        return layer.output(mixed.view(rows, -1), plan.cuts)


def _attend_single(span: Span, query: Tensor, keys_values: Tensor, out: Tensor) -> None:
    """One token: the query heads that share a key head are rows of one product; no mask."""
    key, value = keys_values[:, span.base : span.base + span.length].transpose(1, 2).unbind(0)
    heads, size = key.shape[0], key.shape[2]
    grouped = query[span.start].view(1, heads, -1, size)
    mixed = functional.scaled_dot_product_attention(grouped, key[None], value[None])
    out[span.start] = mixed.view(-1, size)


def _attend_run(span: Span, query: Tensor, keys_values: Tensor, out: Tensor) -> None:
    """A run of a prompt, alone: its shape depends on its place in that prompt only."""
    key, value = keys_values[:, span.base : span.base + span.length].transpose(1, 2).unbind(0)
    rows = slice(span.start, span.stop)
    mixed = functional.scaled_dot_product_attention(
        query[rows].transpose(0, 1)[None],
        key[None],
        value[None],
        attn_mask=span.mask,
        is_causal=span.mask is None,
        enable_gqa=key.shape[0] != query.shape[1],
    )
    out[rows] = mixed[0].transpose(0, 1)


def _feed_forward(layer: Layer, hidden: Tensor, plan: StepPlan) -> Tensor:
    gate, up = layer.gate_up(hidden, plan.cuts).chunk(2, dim=-1)
    wide = gate.float()
    # silu by way of exp: the fused kernel's last elements differ from its others by a bit
    active = (wide / wide.neg().exp_().add_(1)).to(gate.dtype)
    return layer.down(active * up, plan.cuts)


def causal_mask(start: int, stop: int, device: torch.device) -> Tensor:
    """Return booleans, shape (stop - start, stop): which tokens each of a run may look at."""
    seen = torch.arange(stop, device=device)
    return seen <= torch.arange(start, stop, device=device).unsqueeze(1)


def _take_head(shape: LlamaShape, weights: Weights, embedding: Tensor) -> Tensor:
    if not shape.tied:
        return weights.take("lm_head.weight", shape.vocabulary, shape.hidden)
    weights.find("lm_head.weight", shape.vocabulary, shape.hidden)  # some folders repeat it
    return embedding


def _take_layer(shape: LlamaShape, weights: Weights, number: int) -> Layer:
    name = f"model.layers.{number}"
    width, kv_width = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim

    def norm(part: str, size: int) -> Norm:
        return Norm(weights.take(f"{name}.{part}.weight", size), shape.epsilon)

    def linear(inputs: int, **outputs: int) -> Linear:
        parts = [f"{name}.{part.replace('__', '.')}" for part in outputs]
        sizes = list(outputs.values())
        stacked = [
            weights.take(f"{p}.weight", n, inputs) for p, n in zip(parts, sizes, strict=True)
        ]
        return Linear(torch.cat(stacked), _find_bias(weights, parts, sizes))

    return Layer(
        attention_norm=norm("input_layernorm", shape.hidden),
        qkv=linear(
            shape.hidden,
            self_attn__q_proj=width,
            self_attn__k_proj=kv_width,
            self_attn__v_proj=kv_width,
        ),
        q_norm=norm("self_attn.q_norm", shape.head_dim) if shape.qk_norm else None,
        k_norm=norm("self_attn.k_norm", shape.head_dim) if shape.qk_norm else None,
        output=linear(width, self_attn__o_proj=shape.hidden),
        mlp_norm=norm("post_attention_layernorm", shape.hidden),
        gate_up=linear(
            shape.hidden, mlp__gate_proj=shape.intermediate, mlp__up_proj=shape.intermediate
        ),
        down=linear(shape.intermediate, mlp__down_proj=shape.hidden),
    )


def _find_bias(weights: Weights, parts: list[str], sizes: list[int]) -> Tensor | None:
    """Return the biases of stacked linear layers in one; all have one, or none has."""
    found = [weights.find(f"{p}.bias", n) for p, n in zip(parts, sizes, strict=True)]
    biases = [bias for bias in found if bias is not None]
    if not biases:
        return None
    if len(biases) < len(parts):
        raise ModelFolderError(f"{parts[0]}: some of its neighbours have a bias, some have none")
    return torch.cat(biases)
