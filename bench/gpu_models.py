"""Models with random weights, made where they are used: nothing of their size has to be carried."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from sampler_service.llama import Llama
from sampler_service.llama_shape import LlamaShape, Rope
from sampler_service.runners import make_arithmetic
from sampler_service.weights import Weights


def billion(context: int) -> LlamaShape:
    """Return the shape of a model of some 1.2 billion numbers, with 131,072 tokens."""
    return LlamaShape(
        vocabulary=131072,
        hidden=2048,
        intermediate=8192,
        layers=16,
        heads=32,
        kv_heads=8,
        head_dim=64,
        epsilon=1e-5,
        rope=Rope(500000.0),
        context=context,
        qk_norm=False,
        tied=True,
    )


def random_model(shape: LlamaShape, device: torch.device, dtype: torch.dtype) -> Llama:
    """Return a model of a shape, its logits of the size that those of a real one have."""
    generator = torch.Generator(device).manual_seed(3)

    def draw(*sizes: int) -> Tensor:
        drawn = torch.randn(sizes, generator=generator, device=device, dtype=torch.float32)
        return (drawn * sizes[-1] ** -0.5).to(dtype)

    tensors = {
        name: draw(*sizes) if len(sizes) > 1 else torch.ones(sizes, device=device, dtype=dtype)
        for name, sizes in _sizes(shape)
    }
    weights = Weights(tensors, Path("random"))
    return Llama(shape, weights, shape.vocabulary, arithmetic=make_arithmetic(device))


def _sizes(shape: LlamaShape) -> Iterator[tuple[str, tuple[int, ...]]]:
    width, kv_width = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    yield "model.embed_tokens.weight", (shape.vocabulary, shape.hidden)
    yield "model.norm.weight", (shape.hidden,)
    for number in range(shape.layers):
        layer = f"model.layers.{number}"
        yield f"{layer}.input_layernorm.weight", (shape.hidden,)
        yield f"{layer}.post_attention_layernorm.weight", (shape.hidden,)
        for part, rows in (("q", width), ("k", kv_width), ("v", kv_width)):
            yield f"{layer}.self_attn.{part}_proj.weight", (rows, shape.hidden)
        yield f"{layer}.self_attn.o_proj.weight", (shape.hidden, width)
        for part in ("gate", "up"):
            yield f"{layer}.mlp.{part}_proj.weight", (shape.intermediate, shape.hidden)
        yield f"{layer}.mlp.down_proj.weight", (shape.hidden, shape.intermediate)
