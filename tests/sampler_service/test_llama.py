"""The native forward against a plain one written here, and against the transformers library."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mesh.models import ModelEntry
from sampler_service.config import SamplerConfig
from sampler_service.llama import Llama
from sampler_service.llama_shape import NoNativeForwardError, read_shape
from sampler_service.model_folder import ModelFolderError, read_model_folder
from sampler_service.native_runner import NativeRunner
from sampler_service.runner import BLOCK, Row, Runner, Slot
from sampler_service.runners import open_runner
from sampler_service.testing_models import FAMILIES, make_model_folder
from sampler_service.transformers_runner import TransformersRunner
from sampler_service.weights import load_weights

CONTEXT = 512
GENERATOR = torch.Generator().manual_seed(11)
PROMPT = torch.randint(6, 300, (150,), generator=GENERATOR).tolist()


def plain_logits(folder: Path, tokens: list[int]) -> Tensor:
    """The whole forward in one go, float64, with nothing clever: an independent reference."""
    config = json.loads((folder / "config.json").read_text())
    files = sorted(folder.glob("*.safetensors"))
    w = {name: t.double() for path in files for name, t in load_file(path).items()}
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    size = config.get("head_dim") or config["hidden_size"] // heads
    angles = torch.outer(torch.arange(len(tokens)).double(), plain_frequencies(config, size))
    hidden = w["model.embed_tokens.weight"][tokens]
    for number in range(config["num_hidden_layers"]):
        name = f"model.layers.{number}."
        part = {key.removeprefix(name): t for key, t in w.items() if key.startswith(name)}
        hidden = hidden + plain_attention(hidden, part, angles, heads, kv_heads, size)
        x = norm(hidden, part["post_attention_layernorm.weight"])
        gate = x @ part["mlp.gate_proj.weight"].T
        up = x @ part["mlp.up_proj.weight"].T
        hidden = hidden + (gate * torch.sigmoid(gate) * up) @ part["mlp.down_proj.weight"].T
    head = w.get("lm_head.weight", w["model.embed_tokens.weight"])
    return norm(hidden, w["model.norm.weight"]) @ head.T


def plain_attention(  # noqa: PLR0913, PLR0917 - written out on purpose
    hidden: Tensor, w: dict[str, Tensor], angles: Tensor, heads: int, kv_heads: int, size: int
) -> Tensor:
    x = norm(hidden, w["input_layernorm.weight"])
    length = len(hidden)

    def project(part: str, count: int) -> Tensor:
        y = x @ w[f"self_attn.{part}_proj.weight"].T + w.get(f"self_attn.{part}_proj.bias", 0)
        y = y.view(length, count, size)
        gain = w.get(f"self_attn.{part}_norm.weight")
        return y if gain is None else norm(y, gain)

    q, k, v = project("q", heads), project("k", kv_heads), project("v", kv_heads)
    q, k = turn(q, angles), turn(k, angles)
    out = torch.zeros(length, heads, size, dtype=torch.float64)
    for head in range(heads):
        own = head // (heads // kv_heads)
        scores = q[:, head] @ k[:, own].T / math.sqrt(size)
        scores = scores.masked_fill(torch.ones(length, length).triu(1).bool(), -math.inf)
        out[:, head] = scores.softmax(-1) @ v[:, own]
    return out.view(length, -1) @ w["self_attn.o_proj.weight"].T


def norm(x: Tensor, gain: Tensor) -> Tensor:
    return x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * gain


def turn(x: Tensor, angles: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    pairs = torch.complex(x[..., :half], x[..., half:])
    turned = pairs * torch.polar(torch.ones_like(angles), angles).unsqueeze(1)
    return torch.cat((turned.real, turned.imag), -1)


def plain_frequencies(config: dict[str, Any], size: int) -> Tensor:
    scaling = config.get("rope_scaling")
    found = []
    for number in range(size // 2):
        frequency = config["rope_theta"] ** (-2 * number / size)
        if scaling:
            frequency = stretched(frequency, scaling)
        found.append(frequency)
    return torch.tensor(found, dtype=torch.float64)


def stretched(frequency: float, scaling: dict[str, Any]) -> float:
    wavelength = 2 * math.pi / frequency
    original = scaling["original_max_position_embeddings"]
    if wavelength < original / scaling["high_freq_factor"]:
        return frequency
    if wavelength > original / scaling["low_freq_factor"]:
        return frequency / scaling["factor"]
    smooth = (original / wavelength - scaling["low_freq_factor"]) / (
        scaling["high_freq_factor"] - scaling["low_freq_factor"]
    )
    return (1 - smooth) * frequency / scaling["factor"] + smooth * frequency


def open_folder(path: Path, **changes: Any) -> Runner:  # noqa: ANN401 - fields by name
    folder = read_model_folder(path)
    entry = ModelEntry(path, folder.vocabulary.fingerprint, context=CONTEXT)
    return open_runner(folder, entry, SamplerConfig(slots=3, parked_slots=0, **changes))


def step(runner: Runner, *rows: Row) -> Tensor:
    wanted = sum(row.wants_logits for row in rows)
    words = (runner.info.vocabulary + 31) // 32
    return runner.step(rows, lambda: np.zeros((wanted, words), dtype=np.int32)).values


def prefill(runner: Runner, slot: Slot, prompt: list[int]) -> None:
    runner.prefill(slot, [])
    for start in range(0, len(prompt) - 1, BLOCK):
        run = tuple(prompt[start : min(start + BLOCK, len(prompt) - 1)])
        step(runner, Row(slot, run, prompt=True))


def all_logits(runner: Runner, slot: Slot, prompt: list[int], later: list[int]) -> Tensor:
    """Logits behind the prompt and behind each later token."""
    prefill(runner, slot, prompt)
    tokens = [prompt[-1], *later]
    return torch.cat([step(runner, Row(slot, (one,), wants_logits=True)) for one in tokens])


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_it_computes_what_a_plain_forward_computes(
    tmp_path: Path, family: str, shards: int
) -> None:
    path = make_model_folder(tmp_path, family, shards=shards)
    runner = open_folder(path)
    assert isinstance(runner, NativeRunner)
    assert runner.info.determinism == "seeded"
    found = all_logits(runner, Slot(1), PROMPT[:140], PROMPT[140:])
    expected = plain_logits(path, PROMPT)[139:, : runner.info.vocabulary]
    assert (found.double() - expected).abs().max() < 2e-4
    assert expected.std() > 0.5  # the comparison means something


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_half_precision_runs_through_the_same_code(tmp_path: Path, family: str) -> None:
    """What a GPU would be given; here slowly, for the number types' sake."""
    path = make_model_folder(tmp_path, family)
    folder = read_model_folder(path)
    weights = load_weights(path, dtype=torch.bfloat16, device=torch.device("cpu"))
    model = Llama(read_shape(folder.config, context=CONTEXT), weights, folder.vocabulary.size)
    runner = NativeRunner(model, slots=1)
    assert runner.info.device_class == "cpu/bfloat16"
    found = all_logits(runner, Slot(0), PROMPT[:140], PROMPT[140:])
    expected = plain_logits(path, PROMPT)[139:, : runner.info.vocabulary]
    assert found.dtype == torch.float32
    assert (found.double() - expected).abs().mean() < 0.03


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_it_computes_what_the_transformers_library_computes(tmp_path: Path, family: str) -> None:
    transformers = pytest.importorskip("transformers")
    path = make_model_folder(tmp_path, family)
    model = transformers.AutoModelForCausalLM.from_pretrained(str(path), dtype=torch.float32)
    with torch.inference_mode():
        expected = model(torch.tensor([PROMPT])).logits[0, 139:]
    runner = open_folder(path)
    found = all_logits(runner, Slot(0), PROMPT[:140], PROMPT[140:])
    assert (found - expected[:, : runner.info.vocabulary]).abs().max() < 2e-4


def test_another_architecture_runs_on_the_transformers_library(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    path = make_model_folder(tmp_path)
    config = transformers.GPTNeoXConfig(
        vocab_size=310,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=CONTEXT,
        eos_token_id=2,
    )
    model = transformers.GPTNeoXForCausalLM(config).eval()
    model.save_pretrained(path)
    runner = open_folder(path)
    assert isinstance(runner, TransformersRunner)
    assert runner.info.determinism == "best effort"
    with torch.inference_mode():
        expected = model(torch.tensor([PROMPT])).logits[0, 139:]
    found = all_logits(runner, Slot(0), PROMPT[:140], PROMPT[140:])
    assert (found - expected[:, : runner.info.vocabulary]).abs().max() < 2e-4
    runner.truncate(Slot(0), 145)
    again = step(runner, Row(Slot(0), (PROMPT[145],), wants_logits=True))
    assert (again[0] - expected[6, : runner.info.vocabulary]).abs().max() < 2e-4


class TestRows:
    """Bit for bit, whatever else is computed."""

    def test_a_forced_run_equals_one_token_at_a_time(self, runner: NativeRunner) -> None:
        singly = all_logits(runner, Slot(0), PROMPT[:100], PROMPT[100:120])[-1]
        prefill(runner, Slot(1), PROMPT[:100])
        run = step(runner, Row(Slot(1), tuple(PROMPT[99:120]), wants_logits=True))[0]
        assert torch.equal(singly, run)

    def test_neighbours_change_nothing(self, runner: NativeRunner) -> None:
        alone = all_logits(runner, Slot(0), PROMPT[:100], PROMPT[100:110])
        prefill(runner, Slot(3), PROMPT[:100])
        others = [Slot(1), Slot(2), Slot(4), Slot(5)]
        for number, slot in enumerate(others):
            prefill(runner, slot, PROMPT[number : 40 + 23 * number])
        for number, token in enumerate(PROMPT[99:110]):
            rows = [
                Row(others[0], (7,), wants_logits=True),
                Row(others[1], tuple(PROMPT[: number + 1]), wants_logits=True),
                Row(Slot(3), (token,), wants_logits=True),
                Row(others[2], (5,)),
                Row(others[3], tuple(range(number + 1))),
            ]
            rows = rows[number % 3 :] if number % 3 < 3 else rows
            place = [row.slot for row in rows if row.wants_logits].index(Slot(3))
            assert torch.equal(step(runner, *rows)[place], alone[number])

    def test_reused_blocks_equal_computed_ones(self, runner: NativeRunner) -> None:
        computed = all_logits(runner, Slot(0), PROMPT, [])
        blocks = [runner.snapshot(Slot(0), 0), runner.snapshot(Slot(0), BLOCK)]
        runner.prefill(Slot(1), blocks)
        step(runner, Row(Slot(1), tuple(PROMPT[2 * BLOCK : -1]), prompt=True))
        reused = step(runner, Row(Slot(1), (PROMPT[-1],), wants_logits=True))
        assert torch.equal(computed, reused)

    def test_truncating_forgets(self, runner: NativeRunner) -> None:
        expected = all_logits(runner, Slot(0), PROMPT[:70], PROMPT[70:75])
        step(runner, Row(Slot(0), (9, 9, 9)))
        runner.truncate(Slot(0), 72)
        again = step(runner, Row(Slot(0), tuple(PROMPT[72:75]), wants_logits=True))
        assert torch.equal(again[0], expected[-1])

    def test_a_slot_takes_no_more_than_its_context(self, runner: NativeRunner) -> None:
        runner.prefill(Slot(0), [])
        with pytest.raises(ValueError, match="1025 tokens in a slot for 1024"):
            step(runner, Row(Slot(0), (1,) * 1025))

    def test_a_run_of_a_prompt_stays_inside_its_block(self, runner: NativeRunner) -> None:
        runner.prefill(Slot(0), [])
        with pytest.raises(ValueError, match="crosses a block"):
            step(runner, Row(Slot(0), (1,) * (BLOCK + 1), prompt=True))


@pytest.mark.parametrize(
    "changes",
    [
        {"architectures": ["GPT2LMHeadModel"]},
        {"architectures": ["MistralForCausalLM"], "sliding_window": 100},
        {"hidden_act": "gelu"},
        {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}},
        {"quantization_config": {"bits": 4}},
        {"partial_rotary_factor": 0.5},
    ],
)
def test_variants_that_are_not_computed_are_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    folder = read_model_folder(make_model_folder(tmp_path))
    with pytest.raises(NoNativeForwardError):
        read_shape(folder.config | changes, context=CONTEXT)


def test_a_window_wider_than_the_context_does_not_matter(tmp_path: Path) -> None:
    path = make_model_folder(tmp_path, "mistral", changes={"sliding_window": 4096})
    assert read_shape(read_model_folder(path).config, context=CONTEXT).context == CONTEXT


class TestDamagedFolders:
    """One clear message each, nothing half loaded."""

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda t: t.pop("model.norm.weight"), "no tensor model.norm.weight"),
            (lambda t: t.update(extra=torch.zeros(1)), "1 tensors are not used"),
            (
                lambda t: t.update({"model.norm.weight": torch.zeros(3)}),
                "model.norm.weight has shape",
            ),
        ],
    )
    def test_weights(self, tmp_path: Path, change: Any, message: str) -> None:  # noqa: ANN401 - a lambda
        path = make_model_folder(tmp_path)
        tensors = load_file(path / "model.safetensors")
        change(tensors)
        save_file(tensors, path / "model.safetensors")
        with pytest.raises(ModelFolderError, match=message):
            open_folder(path)

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("config.json", b"{", "config.json"),
            ("config.json", b"[]", "not a JSON object"),
            ("tokenizer.json", b"{}", "tokenizer"),
            ("model.safetensors", b"\x00" * 64, "model.safetensors"),
            ("model.safetensors.index.json", b"{}", "no weight_map"),
            (
                "model.safetensors.index.json",
                b'{"weight_map": {"a": "../x.safetensors"}}',
                "not the name of a file",
            ),
            ("card.json", b'{"tokens": {"refusal": {"id": 77}}}', "no special token"),
        ],
    )
    def test_files(self, tmp_path: Path, name: str, content: bytes, message: str) -> None:
        path = make_model_folder(tmp_path)
        (path / name).write_bytes(content)
        with pytest.raises(ModelFolderError, match=message):
            open_folder(path)

    def test_missing_weights(self, tmp_path: Path) -> None:
        path = make_model_folder(tmp_path)
        (path / "model.safetensors").unlink()
        with pytest.raises(ModelFolderError, match="neither"):
            open_folder(path)


def test_memory_for_keys_and_values_is_bounded(tmp_path: Path) -> None:
    path = make_model_folder(tmp_path)
    per_slot = 2 * 2 * 2 * 8 * 4 * CONTEXT
    assert open_folder(path, kv_bytes=2 * per_slot).info.slots == 2
    assert open_folder(path, kv_bytes=1).info.slots == 1
