"""Small models with random weights, as Hugging Face folders, for tests."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

SPECIAL_TOKENS = ("<|pad|>", "<|begin|>", "<|end|>", "<|refusal|>", "<|user|>", "<|assistant|>")
END_ID, REFUSAL_ID = 2, 3

_BASE: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "eos_token_id": END_ID,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama31": {
        "tie_word_embeddings": False,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 4.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 128,
        },
    },
    "mistral": {
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "sliding_window": None,
        "head_dim": 16,
    },
    "qwen2": {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "use_sliding_window": False,
    },
    "qwen3": {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "head_dim": 16,
        "attention_bias": False,
    },
}


def make_tokenizer(
    special: Sequence[str] = SPECIAL_TOKENS,
    added: Sequence[str] = (),
    normalizer: normalizers.Normalizer | None = None,
) -> Tokenizer:
    """Return a byte-level BPE tokenizer with a few merges that JSON text uses.

    Args:
        special: Its control tokens.
        added: Tokens that are added too, and stand for their own text.
        normalizer: What it does to a text at first.
    """
    tokenizer = Tokenizer(models.BPE())
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[AddedToken(text, special=True, normalized=False) for text in special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = ['{"name": "Ada", "age": 36, "tags": ["one", "two"]}', "the answer is not known yet"]
    tokenizer.train_from_iterator(texts * 8, trainer)
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in added])
    return tokenizer


def make_model_folder(
    folder: Path,
    family: str = "llama",
    *,
    seed: int = 0,
    shards: int = 1,
    changes: Mapping[str, Any] | None = None,
) -> Path:
    """Write a model with random weights, float16, as a Hugging Face folder; return the folder.

    Args:
        folder: Made if it does not exist.
        family: A key of `FAMILIES`.
        seed: Of the weights.
        shards: Number of weight files; an index names them if there are several.
        changes: Over the family's `config.json`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    config = _BASE | FAMILIES[family] | {"vocab_size": tokenizer.get_vocab_size() + 5}
    config |= dict(changes or {})
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [END_ID]}))
    card = {"tokens": {"refusal": {"text": "<|refusal|>", "id": REFUSAL_ID}}}
    (folder / "card.json").write_text(json.dumps(card))
    _write_weights(folder, _random_tensors(config, seed), shards)
    return folder


def _random_tensors(config: Mapping[str, Any], seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    size = config.get("head_dim") or hidden // config["num_attention_heads"]
    width, kv_width = size * config["num_attention_heads"], size * config["num_key_value_heads"]
    tensors: dict[str, torch.Tensor] = {}

    def add(name: str, *shape: int) -> None:
        drawn = torch.randn(shape, generator=generator)
        scale = 0.1 if len(shape) == 1 else (1.0 if "embed" in name else 1.5) * shape[-1] ** -0.5
        gain = 1.0 if name.endswith("norm.weight") else 0.0
        tensors[name] = (drawn * scale + gain).half()

    add("model.embed_tokens.weight", config["vocab_size"], hidden)
    add("model.norm.weight", hidden)
    if not config["tie_word_embeddings"]:
        add("lm_head.weight", config["vocab_size"], hidden)
    for number in range(config["num_hidden_layers"]):
        layer = f"model.layers.{number}"
        add(f"{layer}.input_layernorm.weight", hidden)
        add(f"{layer}.post_attention_layernorm.weight", hidden)
        for part, rows in (("q", width), ("k", kv_width), ("v", kv_width)):
            add(f"{layer}.self_attn.{part}_proj.weight", rows, hidden)
            if config["architectures"] == ["Qwen2ForCausalLM"]:
                add(f"{layer}.self_attn.{part}_proj.bias", rows)
        if config["architectures"] == ["Qwen3ForCausalLM"]:
            add(f"{layer}.self_attn.q_norm.weight", size)
            add(f"{layer}.self_attn.k_norm.weight", size)
        add(f"{layer}.self_attn.o_proj.weight", hidden, width)
        add(f"{layer}.mlp.gate_proj.weight", inner, hidden)
        add(f"{layer}.mlp.up_proj.weight", inner, hidden)
        add(f"{layer}.mlp.down_proj.weight", hidden, inner)
    return tensors


def _write_weights(folder: Path, tensors: dict[str, torch.Tensor], shards: int) -> None:
    if shards == 1:
        save_file(tensors, folder / "model.safetensors")
        return
    places: dict[str, str] = {}
    for shard in range(shards):
        name = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = {key: tensors[key] for key in sorted(tensors)[shard::shards]}
        save_file(part, folder / name)
        places |= dict.fromkeys(part, name)
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
