"""A model's tokens over HTTP: ids that `logit_bias` takes, and the text that they stand for."""

import json
from typing import Any

import pytest
from formwork_engine.vocabulary import load_vocabulary
from hypothesis import given
from hypothesis import strategies as st

from gateway.token_bytes import piece_decoder
from gateway.tokenizer import PromptTokenizer, load_tokenizer
from mesh.config import MeshConfig

from .conftest import ALIAS, MODEL_FOLDER, SNAPSHOT, Bench, open_bench

TOKENIZER = load_tokenizer(MODEL_FOLDER)


async def ask(bench: Bench, path: str, **members: object) -> dict[str, Any]:
    response = await bench.post({"model": ALIAS, **members}, path=f"/v1/{path}")
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def refuse(bench: Bench, path: str, **members: object) -> tuple[Any, Any]:
    response = await bench.post({"model": ALIAS, **members}, path=f"/v1/{path}")
    assert response.status_code == 400, response.text
    return response.json()["error"]["param"], response.json()["error"]["code"]


async def test_the_tokens_of_a_text_are_its_bytes_in_order(bench: Bench) -> None:
    text = "Grüße, 東京 👋\n"
    answer = await ask(bench, "tokenize", input=text)
    assert answer["object"] == "tokenization"
    assert answer["model"] == SNAPSHOT
    assert answer["count"] == len(answer["tokens"]) > 1
    assert b"".join(bytes(token["bytes"]) for token in answer["tokens"]).decode() == text
    assert not any(token["special"] for token in answer["tokens"])


async def test_tokens_become_their_text_again(bench: Bench) -> None:
    text = "One two, three.  \t{}"
    ids = [token["id"] for token in (await ask(bench, "tokenize", input=text))["tokens"]]
    answer = await ask(bench, "detokenize", tokens=ids)
    assert answer == {"object": "text", "model": SNAPSHOT, "text": text}
    assert (await ask(bench, "detokenize", tokens=[]))["text"] == ""


async def test_the_tokens_of_an_answer_may_be_sent_back_as_they_are(bench: Bench) -> None:
    text = "Grüße, {}"
    tokens = (await ask(bench, "tokenize", input=text))["tokens"]
    assert (await ask(bench, "detokenize", tokens=tokens))["text"] == text
    mixed = [tokens[0], *(token["id"] for token in tokens[1:])]
    assert (await ask(bench, "detokenize", tokens=mixed))["text"] == text


@pytest.mark.parametrize(
    "members", [{}, {"input": [{"role": "user", "content": "x"}]}], ids=["nothing", "messages"]
)
async def test_an_input_that_is_no_text_is_told_of_messages(
    bench: Bench, members: dict[str, object]
) -> None:
    response = await bench.post({"model": ALIAS, **members}, path="/v1/tokenize")
    assert response.status_code == 400
    assert "'messages'" in response.json()["error"]["message"]


async def test_the_ids_are_those_that_a_bias_takes(bench: Bench) -> None:
    token, *_ = (await ask(bench, "tokenize", input=" the"))["tokens"]
    response = await bench.post(bench.chat(logit_bias={str(token["id"]): -100}))
    assert response.status_code == 200
    assert dict(bench.worker.opens[0].sampling.logit_bias) == {token["id"]: -100.0}


async def test_control_tokens_are_never_made_from_text(bench: Bench) -> None:
    answer = await ask(bench, "tokenize", input="<|end|><|assistant|><|refusal|>")
    assert not any(token["special"] for token in answer["tokens"])
    assert min(token["id"] for token in answer["tokens"]) > 15


async def test_messages_become_the_prompt_that_a_chat_would_have(bench: Bench) -> None:
    messages = bench.chat()["messages"]
    answer = await ask(bench, "tokenize", messages=messages)
    await bench.post(bench.chat())
    assert [t["id"] for t in answer["tokens"]] == list(bench.worker.opens[0].prompt_tokens)
    assert answer["tokens"][0]["special"]


@pytest.mark.parametrize(
    ("path", "members", "refusal"),
    [
        ("tokenize", {}, ("input", "missing_required_parameter")),
        ("tokenize", {"input": 1}, ("input", "invalid_type")),
        ("tokenize", {"input": "x" * 21}, ("input", "string_above_max_length")),
        ("tokenize", {"input": "x", "messages": []}, ("input", "invalid_parameter_combination")),
        ("tokenize", {"messages": []}, ("messages", "empty_array")),
        (
            "tokenize",
            {"messages": [{"role": "assistant", "reasoning_content": "x" * 21, "content": ""}]},
            ("messages", "string_above_max_length"),
        ),
        (
            "tokenize",
            {"messages": [{"role": "user", "content": "x" * 11}] * 2},
            ("messages", "string_above_max_length"),
        ),
        ("tokenize", {"input": "x", "add_special": True}, ("add_special", "unknown_parameter")),
        ("detokenize", {}, ("tokens", "missing_required_parameter")),
        ("detokenize", {"tokens": "x"}, ("tokens", "invalid_type")),
        ("detokenize", {"tokens": [-1]}, ("tokens[0]", "integer_below_min_value")),
        ("detokenize", {"tokens": [1, 10**9]}, ("tokens[1]", "integer_above_max_value")),
        ("detokenize", {"tokens": [True]}, ("tokens[0]", "invalid_type")),
        ("detokenize", {"tokens": [{"text": "x"}]}, ("tokens[0].id", "missing_required_parameter")),
        ("detokenize", {"tokens": [{"id": 1, "at": 2}]}, ("tokens[0].at", "unknown_parameter")),
        ("detokenize", {"tokens": [{"id": -1}]}, ("tokens[0].id", "integer_below_min_value")),
        ("detokenize", {"tokens": [1] * 6}, ("tokens", "array_above_max_length")),
        ("tokenize", {"input": "\U0001f9ff" * 4}, ("input", "string_above_max_length")),
    ],
    ids=range(18),
)
async def test_what_is_wrong_is_named(
    mesh_config: MeshConfig, path: str, members: dict[str, object], refusal: tuple[str, str]
) -> None:
    async with open_bench(
        mesh_config,
        max_tokenize_characters=20,
        max_tokenize_tokens=12,
        max_detokenize_tokens=5,
    ) as bench:
        assert await refuse(bench, path, **members) == refusal


@pytest.mark.parametrize(
    ("path", "members"), [("/v1/tokenize", {"input": "x"}), ("/v1/detokenize", {"tokens": [1]})]
)
async def test_they_want_a_key_and_a_model(
    bench: Bench, path: str, members: dict[str, object]
) -> None:
    response = await bench.post({"model": ALIAS, **members}, path=path, authorization="")
    assert response.status_code == 401
    response = await bench.post({"model": "none", **members}, path=path)
    assert response.json()["error"]["code"] == "model_not_found"
    assert path in (await bench.get("/openapi.json")).json()["paths"]


@given(st.text(max_size=200))
def test_any_text_comes_back(text: str) -> None:
    ids = TOKENIZER.encode_message(text)
    assert b"".join(map(TOKENIZER.token_bytes, ids)).decode() == text
    assert not any(map(TOKENIZER.is_special, ids))


def test_the_bytes_are_those_that_the_engine_writes() -> None:
    vocabulary = load_vocabulary(MODEL_FOLDER)
    for token_id in range(TOKENIZER.size):
        if not TOKENIZER.is_special(token_id):
            assert TOKENIZER.token_bytes(token_id) == vocabulary.token_bytes(token_id)


def test_sentencepiece_writes_bytes_and_spaces_in_its_own_way() -> None:
    decode = piece_decoder({"decoder": {"type": "Sequence", "decoders": [{"type": "Fuse"}]}})
    assert decode("\u2581the") == b" the"
    assert decode("<0xE2>") == b"\xe2"
    assert decode("<0xE2>x") == b"<0xE2>x"


def test_an_added_token_is_its_name_and_an_unknown_id_nothing() -> None:
    definition = json.loads((MODEL_FOLDER / "tokenizer.json").read_bytes())
    added = {**definition["added_tokens"][0], "id": 5000, "content": "<x>", "special": False}
    tokenizer = PromptTokenizer(
        json.dumps({**definition, "added_tokens": [*definition["added_tokens"], added]}).encode()
    )
    assert tokenizer.token_bytes(5000) == b"<x>"
    assert tokenizer.token_bytes(10**6) == b""
