"""The model folder holds what a service reads: template, tokenizer, card, configuration."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment
from safetensors import safe_open
from tokenizers import Tokenizer

from gateway.schema_outline import outline
from models.training.export import FOLDER, card, tokenizer_config
from models.training.samples import SPECIAL_TOKENS, Sample, prompt_text
from models.training.tasks import stream

if TYPE_CHECKING:
    from pathlib import Path

    from jinja2 import Template


def read_json(path: Path) -> dict[str, object]:
    value: dict[str, object] = json.loads(path.read_text())
    return value


@pytest.fixture(scope="module")
def template() -> Template:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(
        str(read_json(FOLDER / "tokenizer_config.json")["chat_template"])
    )


TOKENIZER = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))


def rendered(template: Template, sample: Sample) -> str:
    tools = [
        {"name": t.name, "description": t.description, "outline": outline(t.parameters)}
        for t in sample.tools
    ]
    return template.render(
        messages=[{"role": role, "content": text} for role, text in sample.messages],
        schema=None if sample.schema is None else outline(sample.schema),
        tools=tools,
        add_generation_prompt=True,
    )


def test_training_prompts_are_what_the_template_renders(template: Template) -> None:
    for sample in islice(stream(5), 300):
        assert rendered(template, sample) == prompt_text(sample)


def test_calls_refusals_and_developers_are_rendered(template: Template) -> None:
    call = {"function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "developer", "content": "d"},
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": None, "tool_calls": [call, call]},
        {"role": "tool", "content": "t"},
        {"role": "assistant", "refusal": "no"},
    ]
    assert template.render(messages=messages) == (
        "<|begin|><|system|>d<|end|><|user|>u<|end|>"
        "<|assistant|><|call|>f<|args|>{}<|call|>f<|args|>{}<|end|>"
        "<|tool|>t<|end|><|assistant|><|refusal|>no<|end|>"
    )


def test_special_tokens_have_the_first_ids_in_order() -> None:
    assert [TOKENIZER.token_to_id(token) for token in SPECIAL_TOKENS] == list(range(16))
    assert TOKENIZER.get_vocab_size() == 2048


@given(st.text())
def test_any_text_comes_back_from_its_tokens(text: str) -> None:
    tokenizer = Tokenizer.from_str(TOKENIZER.to_str())
    tokenizer.encode_special_tokens = True
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text
    assert all(token >= len(SPECIAL_TOKENS) for token in ids)


def test_a_word_is_spelled_alike_wherever_it_stands() -> None:
    alone = TOKENIZER.encode("Marvik").ids
    inside = TOKENIZER.encode('{"name":"Marvik"}').ids
    after_space = TOKENIZER.encode("by Marvik.").ids
    for ids in (inside, after_space):
        assert any(ids[i : i + len(alone)] == alone for i in range(len(ids)))


@pytest.mark.parametrize("word", ["marvik", "kolmer", "order", "breit", "stoogle"])
def test_a_capital_changes_the_first_piece_of_a_word_only(word: str) -> None:
    first, *rest = TOKENIZER.encode(word).tokens
    assert TOKENIZER.encode(word.capitalize()).tokens == [first.capitalize(), *rest]


def test_the_written_settings_are_what_the_code_says() -> None:
    text = (FOLDER / "chat_template.jinja").read_text()
    assert read_json(FOLDER / "card.json") == card()
    assert read_json(FOLDER / "tokenizer_config.json") == tokenizer_config(text)


def test_weights_have_hugging_face_names_and_fit_the_configuration() -> None:
    config = read_json(FOLDER / "config.json")
    with safe_open(FOLDER / "model.safetensors", framework="np") as weights:
        names = set(weights.keys())
        table = weights.get_tensor("model.embed_tokens.weight")
    layers = {name.split(".")[2] for name in names if name.startswith("model.layers.")}
    assert table.shape == (config["vocab_size"], config["hidden_size"])
    assert len(layers) == config["num_hidden_layers"]
    assert {"model.norm.weight", "model.layers.0.self_attn.q_proj.weight"} <= names
