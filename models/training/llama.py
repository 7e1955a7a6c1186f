"""A compact Llama whose parameter names and arithmetic are those of LlamaForCausalLM."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

KeyValue = tuple[Tensor, Tensor]
Rope = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class LlamaConfig:
    """Sizes of the model; lengths are in tokens."""

    vocab_size: int = 2048
    hidden_size: int = 192
    intermediate_size: int = 448
    layers: int = 6
    heads: int = 6
    kv_heads: int = 6
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-5
    max_positions: int = 4096

    @property
    def head_dim(self) -> int:
        """Size of one attention head."""
        return self.hidden_size // self.heads


def rope_tables(config: LlamaConfig, positions: Tensor) -> Rope:
    """Return cosines and sines, (batch, 1, length, head_dim), for positions (batch, length)."""
    steps = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device=positions.device)
    exponents = steps / config.head_dim
    angles = positions.float()[..., None] * config.rope_theta**-exponents
    angles = torch.cat((angles, angles), dim=-1)[:, None]
    return angles.cos(), angles.sin()


def rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply rotary positions in the rotate-half convention to (batch, heads, length, head_dim)."""
    first, second = heads.chunk(2, dim=-1)
    return heads * cos + torch.cat((-second, first), dim=-1) * sin


def together(hidden: Tensor, *projections: nn.Linear) -> tuple[Tensor, ...]:
    """Apply several projections of the same input as one product, which a CPU does much faster."""
    joined = functional.linear(hidden, torch.cat([p.weight for p in projections]))
    return torch.split_with_sizes(joined, [p.out_features for p in projections], dim=-1)


class RmsNorm(nn.Module):
    """Root-mean-square norm with a learned gain."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, hidden: Tensor) -> Tensor:
        """Normalise the last dimension."""
        return functional.rms_norm(hidden, (hidden.shape[-1],), self.weight, self.eps)


class Attention(nn.Module):
    """Causal self-attention with rotary positions and an optional key-value cache."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.config = config
        width, kv_width = config.hidden_size, config.kv_heads * config.head_dim
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, kv_width, bias=False)
        self.v_proj = nn.Linear(width, kv_width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(
        self, hidden: Tensor, rope: Rope, past: KeyValue | None, mask: Tensor | None, first: int
    ) -> tuple[Tensor, KeyValue]:
        """Attend over past and present from place `first` on.

        mask (batch, 1, length - first, total) is None for plain causal.
        """
        asking = self.q_proj(hidden[:, first:])
        query, key, value = (
            part.unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)
            for part in (asking, *together(hidden, self.k_proj, self.v_proj))
        )
        query = rotate(query, *(table[:, :, first:] for table in rope))
        key = rotate(key, *rope)
        if past is not None:
            key, value = torch.cat((past[0], key), 2), torch.cat((past[1], value), 2)
        mixed = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            is_causal=mask is None,
            enable_gqa=self.config.kv_heads != self.config.heads,
        )
        return self.o_proj(mixed.transpose(1, 2).flatten(2)), (key, value)


class Mlp(nn.Module):
    """Gated SiLU feed-forward."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (batch, length, hidden) to the same shape."""
        gate, up = together(hidden, self.gate_proj, self.up_proj)
        gated = functional.silu(gate) * up
        projected: Tensor = self.down_proj(gated)
        return projected


class Layer(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.input_layernorm = RmsNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RmsNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = Mlp(config)

    def forward(
        self, hidden: Tensor, rope: Rope, past: KeyValue | None, mask: Tensor | None, first: int
    ) -> tuple[Tensor, KeyValue]:
        """Return the new hidden state from place `first` on, and this layer's keys and values."""
        attended, cache = self.self_attn(self.input_layernorm(hidden), rope, past, mask, first)
        hidden = hidden[:, first:] + attended
        return hidden + self.mlp(self.post_attention_layernorm(hidden)), cache


class Decoder(nn.Module):
    """Embedding, layers and final norm, under the names LlamaModel uses."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = RmsNorm(config.hidden_size, config.rms_norm_eps)


class Llama(nn.Module):
    """A decoder whose output head is its embedding (tied)."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Decoder(config)
        self.apply(self._initialise)

    def _initialise(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.5 * module.in_features**-0.5)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.05)

    def hidden(
        self,
        tokens: Tensor,
        positions: Tensor,
        past: list[KeyValue] | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, list[KeyValue]]:
        """Return final hidden states (batch, length, hidden) and the cache of every layer."""
        rope = rope_tables(self.config, positions)
        hidden = self.model.embed_tokens(tokens)
        caches: list[KeyValue] = []
        for index, layer in enumerate(self.model.layers):
            hidden, cache = layer(hidden, rope, past[index] if past else None, mask, 0)
            caches.append(cache)
        return self.model.norm(hidden), caches

    def hidden_from(self, first: int, tokens: Tensor, positions: Tensor) -> Tensor:
        """Return final hidden states (batch, length - first, hidden) from place `first` on.

        The last layer then looks back from these places only: most of training's tokens are
        prompts, whose last states nobody needs.
        """
        rope = rope_tables(self.config, positions)
        hidden = self.model.embed_tokens(tokens)
        *early, last = self.model.layers
        for layer in early:
            hidden, _ = layer(hidden, rope, None, None, 0)
        length = tokens.shape[1]
        seen = torch.ones(length - first, length, dtype=torch.bool, device=tokens.device)
        mask = seen.tril(first)
        hidden, _ = last(hidden, rope, None, mask, first)
        normed: Tensor = self.model.norm(hidden)
        return normed

    def logits(self, hidden: Tensor) -> Tensor:
        """Project hidden states (..., hidden) to logits (..., vocab)."""
        return functional.linear(hidden, self.model.embed_tokens.weight)
