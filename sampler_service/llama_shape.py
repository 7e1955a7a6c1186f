"""Sizes and variants of the Llama-type models that have a native forward."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sampler_service.model_folder import ModelFolderError

ARCHITECTURES = frozenset(
    {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"}
)


class NoNativeForwardError(ModelFolderError):
    """The native forward does not compute this model; another one may."""


@dataclass(frozen=True)
class Rope:
    """Rotary positions (Su et al. 2021); with Llama 3's stretching where `factor` is set."""

    theta: float = 10000.0
    factor: float | None = None
    low_frequency_factor: float = 1.0
    high_frequency_factor: float = 4.0
    original_context: int = 8192


@dataclass(frozen=True)
class LlamaShape:
    """What the forward knows besides the weights; sizes in elements, `context` in tokens."""

    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    epsilon: float
    rope: Rope
    context: int
    qk_norm: bool
    tied: bool


def read_shape(config: Mapping[str, Any], *, context: int) -> LlamaShape:
    """Return the shape that a `config.json` describes.

    Args:
        config: The parsed file.
        context: Most tokens that will be used; a window wider than that does not matter.

    Raises:
        NoNativeForwardError: Another architecture, or a variant that is not computed here.
        ModelFolderError: A size is missing or impossible.
    """
    architecture = (config.get("architectures") or [""])[0]
    if architecture not in ARCHITECTURES:
        raise NoNativeForwardError(f"no native forward for {architecture or 'this model'}")
    _check_variant(config, context)
    heads, hidden = _size(config, "num_attention_heads"), _size(config, "hidden_size")
    shape = LlamaShape(
        vocabulary=_size(config, "vocab_size"),
        hidden=hidden,
        intermediate=_size(config, "intermediate_size"),
        layers=_size(config, "num_hidden_layers"),
        heads=heads,
        kv_heads=_size(config, "num_key_value_heads", heads),
        head_dim=_size(config, "head_dim", hidden // heads),
        epsilon=float(config.get("rms_norm_eps", 1e-6)),
        rope=_read_rope(config),
        context=min(context, _size(config, "max_position_embeddings", context)),
        qk_norm=architecture == "Qwen3ForCausalLM",
        tied=bool(config.get("tie_word_embeddings", False)),
    )
    if shape.heads % shape.kv_heads or shape.head_dim % 2:
        raise ModelFolderError("config.json: heads do not share keys evenly, or are odd in size")
    return shape


def _check_variant(config: Mapping[str, Any], context: int) -> None:
    window = config.get("sliding_window")
    windowed = window is not None and config.get("use_sliding_window", True) and window < context
    variants = {
        "sliding_window": windowed,
        "hidden_act": config.get("hidden_act", "silu") not in ("silu", "swish"),
        "partial_rotary_factor": config.get("partial_rotary_factor", 1.0) != 1.0,
        "quantization_config": config.get("quantization_config") is not None,
    }
    for name, differs in variants.items():
        if differs:
            raise NoNativeForwardError(f"no native forward for {name} = {config.get(name)!r}")


def _read_rope(config: Mapping[str, Any]) -> Rope:
    # newer files have everything in rope_parameters, older ones theta apart from rope_scaling
    scaling = config.get("rope_parameters") or config.get("rope_scaling") or {}
    theta = float(scaling.get("rope_theta", config.get("rope_theta", 10000.0)))
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind == "default":
        return Rope(theta)
    if kind != "llama3":
        raise NoNativeForwardError(f"no native forward for rope scaling {kind!r}")
    try:
        return Rope(
            theta,
            float(scaling["factor"]),
            float(scaling["low_freq_factor"]),
            float(scaling["high_freq_factor"]),
            int(scaling["original_max_position_embeddings"]),
        )
    except KeyError as error:
        raise ModelFolderError(f"config.json: rope scaling has no {error}") from error


def _size(config: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = config.get(name)
    if value is None:
        value = default
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelFolderError(f"config.json: {name} is {value!r}")
    return value
