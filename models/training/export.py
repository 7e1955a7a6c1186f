"""Writes the model folder: weights, configuration, tokenizer settings and the card's data."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from models.training.llama import Llama, LlamaConfig
from models.training.samples import RESERVED, SPECIAL_TOKENS
from models.training.train import BUILT_IN

FOLDER = Path(__file__).parents[1] / "formwork-mini"
BEGIN, END, PAD = "<|begin|>", "<|end|>", "<|pad|>"


def model_config(config: LlamaConfig) -> dict[str, object]:
    """Return config.json in the keys of LlamaForCausalLM."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.rms_norm_eps,
        "rope_theta": config.rope_theta,
        "rope_scaling": None,
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "tie_word_embeddings": True,
        "use_cache": True,
        "torch_dtype": "float16",
        "bos_token_id": SPECIAL_TOKENS.index(BEGIN),
        "eos_token_id": SPECIAL_TOKENS.index(END),
        "pad_token_id": SPECIAL_TOKENS.index(PAD),
    }


def tokenizer_config(template: str) -> dict[str, object]:
    """Return tokenizer_config.json with the chat template."""
    added = {
        str(index): {
            "content": token, "lstrip": False, "normalized": False, "rstrip": False,
            "single_word": False, "special": True,
        }
        for index, token in enumerate(SPECIAL_TOKENS)
    }  # fmt: skip
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "added_tokens_decoder": added,
        "bos_token": BEGIN,
        "eos_token": END,
        "pad_token": PAD,
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": BUILT_IN.max_positions,
        "chat_template": template,
    }


def card() -> dict[str, object]:
    """Return card.json: what a service must know of this family, as data."""
    ids = {token: index for index, token in enumerate(SPECIAL_TOKENS)}
    return {
        "card_version": 1,
        "model": "formwork-mini",
        "chat_family": "formwork",
        "license": "same as the repository",
        "context_tokens": BUILT_IN.max_positions,
        "trained_context_tokens": 1024,
        "capabilities": {
            "structured": True,
            "tools": True,
            "parallel_tool_calls": True,
            "refusal": True,
            "json_mode": True,
        },
        "tokens": {
            "pad": {"text": PAD, "id": ids[PAD]},
            "begin": {"text": BEGIN, "id": ids[BEGIN]},
            "end": {"text": END, "id": ids[END]},
            "system": {"text": "<|system|>", "id": ids["<|system|>"]},
            "user": {"text": "<|user|>", "id": ids["<|user|>"]},
            "assistant": {"text": "<|assistant|>", "id": ids["<|assistant|>"]},
            "tool": {"text": "<|tool|>", "id": ids["<|tool|>"]},
            "schema": {"text": "<|schema|>", "id": ids["<|schema|>"]},
            "tools": {"text": "<|tools|>", "id": ids["<|tools|>"]},
            "call": {"text": "<|call|>", "id": ids["<|call|>"]},
            "args": {"text": "<|args|>", "id": ids["<|args|>"]},
            "refusal": {"text": "<|refusal|>", "id": ids["<|refusal|>"]},
            "reserved": [ids[f"<|reserved_{i}|>"] for i in range(RESERVED)],
        },
        "end_of_sequence": [ids[END]],
        "prompt": {
            "schema_style": "outline",
            "schema_max_characters": 1600,
            "schema_position": "before_generation",
            "tools_position": "before_generation",
            "tool_line": "name(outline) description",
            "json_mode_schema": {"type": "object"},
            "roles": {"developer": "system", "function": "tool"},
        },
        "answer": {
            "separators": [",", ":"],
            "whitespace": "compact",
            "ensure_ascii": False,
            "refusal": "<|refusal|>{text}<|end|>",
            "tool_call": "<|call|>{name}<|args|>{arguments}",
            "parallel_calls": "repeat tool_call, then <|end|>",
            "text_before_calls": False,
        },
        "sampling": {"temperature": 0.0, "max_completion_tokens": 256},
    }


def write_json(path: Path, value: object) -> None:
    """Write readable JSON with a last newline."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_settings(folder: Path) -> None:
    """Write every file that does not depend on the weights."""
    template = (folder / "chat_template.jinja").read_text()
    write_json(folder / "config.json", model_config(BUILT_IN))
    write_json(folder / "tokenizer_config.json", tokenizer_config(template))
    ids = {
        f"{n}_token_id": SPECIAL_TOKENS.index(t)
        for n, t in (("bos", BEGIN), ("eos", END), ("pad", PAD))
    }
    write_json(
        folder / "generation_config.json", {**ids, "do_sample": False, "max_new_tokens": 256}
    )
    write_json(folder / "card.json", card())


def write_weights(checkpoint: Path, folder: Path, *, averaged: bool) -> None:
    """Write model.safetensors in half precision from a checkpoint, then read it back."""
    state = torch.load(checkpoint)["averaged" if averaged else "model"]
    halves = {name: value.to(torch.float16).contiguous() for name, value in state.items()}
    save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    load_model(folder)


def load_model(folder: Path) -> Llama:
    """Load an exported folder in single precision."""
    model = Llama(BUILT_IN)
    state = load_file(folder / "model.safetensors")
    model.load_state_dict({name: value.float() for name, value in state.items()})
    return model.eval()


def main() -> None:
    """Parse the command line and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--checkpoint", type=Path, help="without it, only the settings are written")
    parser.add_argument("--averaged", action="store_true", help="export the averaged weights")
    options = parser.parse_args()
    write_settings(options.folder)
    if options.checkpoint:
        write_weights(options.checkpoint, options.folder, averaged=options.averaged)


if __name__ == "__main__":
    main()
