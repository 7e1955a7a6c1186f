"""The native forward of Llama-type models.

Row for row its numbers do not depend on what else is computed with it: linear layers run over
tiles of rows (see `tiles`), the rest of a layer is elementwise or within a row (see `arithmetic`),
and attention adds up in an order that depends on one sequence alone (see `attention`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from sampler_service.arithmetic import Arithmetic, Norm, PlainArithmetic
from sampler_service.attention import Attention
from sampler_service.llama_shape import LlamaShape
from sampler_service.model_folder import ModelFolderError
from sampler_service.rope import rope_tables
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
class StepPlan:
    """One step, padded to whole tiles.

    `tokens`, `positions` and `places` (rows of the cache to write) have one entry per row; `cuts`
    are the tiles; `attention` knows who looks at what.
    """

    tokens: Tensor
    positions: Tensor
    places: Tensor
    cuts: tuple[int, ...]
    attention: Attention


class Llama:
    """Weights and arithmetic of one model.

    Args:
        shape: Its sizes.
        weights: Taken from, all of them.
        vocabulary: How many ids the tokenizer has; logits are of these, not of padding behind them.
        seeded: Cut rows so that a row's numbers do not depend on its neighbours.
        arithmetic: Between the products; torch's operations by default.

    Raises:
        ModelFolderError: The weights do not have this shape.
    """

    def __init__(
        self,
        shape: LlamaShape,
        weights: Weights,
        vocabulary: int,
        *,
        seeded: bool = True,
        arithmetic: Arithmetic | None = None,
    ) -> None:
        if vocabulary > shape.vocabulary:
            raise ModelFolderError(f"{vocabulary} tokens, but weights of {shape.vocabulary}")
        self.shape = shape
        self.vocabulary = vocabulary
        self._embedding = weights.take("model.embed_tokens.weight", shape.vocabulary, shape.hidden)
        self._layers = [_take_layer(shape, weights, number) for number in range(shape.layers)]
        self._norm = Norm(weights.take("model.norm.weight", shape.hidden), shape.epsilon)
        self._arithmetic = arithmetic or PlainArithmetic()
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
            hidden = hidden + self._attend(layer, hidden, plan, rope, keys_values)
            hidden = hidden + self._feed_forward(layer, hidden, plan)
        return self._arithmetic.normalise(hidden, self._norm)

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
        normal = self._arithmetic.normalise(hidden, layer.attention_norm)
        heads = layer.qkv(normal, plan.cuts).view(rows, -1, shape.head_dim)
        turning, value = torch.split(heads, [shape.heads + shape.kv_heads, shape.kv_heads], dim=1)
        turned = self._arithmetic.rotate(self._normalise_heads(layer, turning), *rope)
        query, key = torch.split(turned, [shape.heads, shape.kv_heads], dim=1)
        keys_values[0].index_copy_(0, plan.places, key)
        keys_values[1].index_copy_(0, plan.places, value)
        mixed = plan.attention(query, keys_values)
        return layer.output(mixed.view(rows, -1), plan.cuts)

    def _normalise_heads(self, layer: Layer, heads: Tensor) -> Tensor:
        """Return queries and keys, with the norms that some families have for them."""
        if layer.q_norm is None or layer.k_norm is None:
            return heads
        query, key = torch.split(heads, [self.shape.heads, self.shape.kv_heads], dim=1)
        parts = ((query, layer.q_norm), (key, layer.k_norm))
        return torch.cat([self._arithmetic.normalise(part, norm) for part, norm in parts], dim=1)

    def _feed_forward(self, layer: Layer, hidden: Tensor, plan: StepPlan) -> Tensor:
        normal = self._arithmetic.normalise(hidden, layer.mlp_norm)
        active = self._arithmetic.activate(layer.gate_up(normal, plan.cuts))
        return layer.down(active, plan.cuts)


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
