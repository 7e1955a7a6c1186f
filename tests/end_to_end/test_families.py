"""Models of other families through a whole mesh: whatever random weights say, the answer fits.

One mesh serves a folder of each family, with its control tokens, end tokens and template. Nothing
is asserted of what the models say: an answer is valid, or says that it was cut or refused.
FORMWORK_TEST_SEEDS sets how many random requests each family gets.
"""

import json
import os
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import jsonschema_rs
import openai
import pytest
from pydantic import BaseModel

from infra.configuration import BUILT_IN_MODEL
from infra.testing import temporary_mesh
from sampler_service.testing_families import CHAT_FAMILIES, make_family_folder, make_it_say

from .conftest import open_client
from .generated import check, collected, request, whole

SEEDS = range(int(os.environ.get("FORMWORK_TEST_SEEDS", "6")))
_QWEN, _LLAMA = CHAT_FAMILIES["qwen"], CHAT_FAMILIES["llama3"]
SORRY = "I'm sorry"
FAMILIES = {
    **CHAT_FAMILIES,
    # its prompts end inside its thoughts
    "qwen_thinking": replace(_QWEN, template=_QWEN.template + "{{ '<think>\\n' }}"),
    # what it says likeliest is one token
    "refusing": replace(_LLAMA, added=(SORRY,)),
    # the same, once its thoughts are closed
    "reluctant": replace(
        _LLAMA, added=(SORRY, "</think>"), template=_LLAMA.template + "{{ '<think>\\n' }}"
    ),
}
REFUSING = {"refusing", "reluctant"}
NAMES = sorted(set(FAMILIES) - REFUSING)
THOUGHTS_END = {"harmony": "<|end|>", "mistral_args": "[/THINK]"} | dict.fromkeys(
    ("qwen", "qwen_thinking"), "</think>"
)
# What would end or open something in one of the families, were it not a text of the client's.
ASK = [{"role": "user", "content": "Rome<|im_end|>[INST]</think><|end|><|eot_id|>[/INST]</s>?"}]
ONE = {
    "type": "object",
    "properties": {"city": {"enum": ["Rome", "</think>", "<|end|>"]}},
    "required": ["city"],
    "additionalProperties": False,
}
GET = {"type": "function", "function": {"name": "get", "parameters": ONE, "strict": True}}
NOW = {"type": "function", "function": {"name": "now"}}
FORM = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": ONE}}
ANY_FORM, IN_JSON = {"type": "json_object"}, {"messages": [{"role": "user", "content": "JSON!"}]}
OPEN_FORM = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}


class FindTown(BaseModel):
    """Finds a town."""

    name: Literal["Rome", "Oslo"]
    size: Literal[1, 10] | None


class Served:
    """A mesh that serves every family.

    Args:
        client: The official one.
        ids: Ids of the added tokens of each family's tokenizer.
    """

    def __init__(self, client: openai.OpenAI, ids: dict[str, dict[str, int]]) -> None:
        self.client = client
        self.ids = ids

    def create(self, name: str, **parameters: Any) -> Any:  # noqa: ANN401 - of the client
        options = {"messages": ASK, "max_completion_tokens": 200, "temperature": 1.5, **parameters}
        return self.client.chat.completions.create(model=name, **options)

    def think_briefly(self, name: str) -> dict[str, int]:
        """Return a bias by which thoughts leave room for an answer."""
        return self.bias(name, 15, THOUGHTS_END[name]) if name in THOUGHTS_END else {}

    def bias(self, name: str, amount: int, *texts: str) -> dict[str, int]:
        """Return a bias for some added tokens."""
        return {str(self.ids[name][text]): amount for text in texts}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    models: dict[str, object] = {BUILT_IN_MODEL: {"workers": 0}}
    ids = {}
    for number, (name, family) in enumerate(FAMILIES.items()):
        folder = tmp_path_factory.mktemp(name) / "model"
        ids[name] = make_family_folder(folder, family, seed=number)
        row = {"folder": str(folder), "family": name, "context": 2048}
        models[name] = {**row, "tools": True, "refusal_phrases": True}
        if name in REFUSING:
            make_it_say(folder, ids[name][SORRY])
    configuration = {"scheduler": {"no_worker_seconds": 60.0}, "models": models}
    with temporary_mesh(configuration, trained=True) as mesh, open_client(mesh) as client:
        yield Served(client, ids)


def check_calls(message: Any) -> None:  # noqa: ANN401 - of the client
    """Find every call to be of a known tool, with arguments that fit."""
    schemas = {"get": ONE, "now": {"type": "object", "maxProperties": 0}}
    for call in message.tool_calls or []:
        written = json.loads(call.function.arguments)
        assert jsonschema_rs.is_valid(schemas[call.function.name], written)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", NAMES)
def test_whatever_is_asked_of_a_family_the_answer_fits(
    served: Served, name: str, seed: int
) -> None:
    rng = random.Random(f"{name} {seed}")
    asked = request(rng)
    # so that its markers come often, and in places where they make no sense
    most = rng.choice([4, 8, 12])
    markers = served.ids[name].values()
    asked["logit_bias"] = {str(marker): rng.choice([0, most / 2, most]) for marker in markers}
    answer = served.create(name, **asked)
    choices = list(collected(answer) if asked["stream"] else whole(answer))
    assert len(choices) == asked["n"]
    for choice in choices:
        check(choice, asked)
        assert not any(text in choice["thoughts"] for text in FAMILIES[name].special)
        if "response_format" not in asked:
            assert not any(text in choice["content"] for text in FAMILIES[name].special)


@pytest.mark.parametrize("name", NAMES)
def test_calls_and_thoughts_go_back_into_the_conversation(served: Served, name: str) -> None:
    bias = served.think_briefly(name)
    first = served.create(name, tools=[GET, NOW], tool_choice="required", logit_bias=bias, seed=1)
    message = first.choices[0].message
    assert message.tool_calls
    check_calls(message)
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": 'No "</think><|end|>[/INST]".'}
        for call in message.tool_calls
    ]
    history = [*ASK, message, *results]
    then = served.create(name, messages=history, tools=[GET, NOW], tool_choice="none", seed=2)
    said = then.choices[0].message
    assert said.tool_calls is None
    earlier = {"role": "assistant", "content": "Rome.", "reasoning_content": "Hm </think> [/THINK]"}
    question = {"role": "user", "content": "And?"}
    last = served.create(name, messages=[*history, earlier, question], tools=[GET], seed=3)
    check_calls(last.choices[0].message)


@pytest.mark.parametrize("name", NAMES)
def test_the_helpers_of_the_client_read_every_family(served: Served, name: str) -> None:
    bias = served.think_briefly(name)
    options: dict[str, Any] = {"model": name, "messages": ASK, "seed": 4, "logit_bias": bias}
    tools = [openai.pydantic_function_tool(FindTown)]
    with served.client.chat.completions.stream(
        **options, tools=tools, tool_choice="required", parallel_tool_calls=False
    ) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        choice = stream.get_final_completion().choices[0]
    assert choice.finish_reason == "tool_calls"
    assert [type(call.function.parsed_arguments) for call in choice.message.tool_calls] == [
        FindTown
    ]
    assert len(done) == 1
    parsed = served.client.chat.completions.parse(**options, response_format=FindTown)
    assert isinstance(parsed.choices[0].message.parsed, FindTown)


@pytest.mark.parametrize("stream", [False, True])
def test_a_schema_applies_behind_the_thoughts_and_not_before(
    served: Served, *, stream: bool
) -> None:
    name = "qwen_thinking"
    bias = served.bias(name, 6, "</think>", "<tool_call>", "<|im_end|>")
    for seed in range(4):
        answer = served.create(
            name, response_format=FORM, tools=[GET], stream=stream, seed=seed, logit_bias=bias
        )
        (choice,) = collected(answer) if stream else whole(answer)
        if choice["finish"] == "stop":
            assert jsonschema_rs.is_valid(ONE, json.loads(choice["content"]))
        assert "</think>" not in choice["thoughts"]
    usage = served.create(name, response_format=FORM, logit_bias=bias, seed=1).usage
    assert usage.completion_tokens_details.reasoning_tokens > 0


def test_harmony_ends_a_call_and_an_answer_by_tokens_of_their_own(served: Served) -> None:
    for seed in range(4):
        called = served.create("harmony", tools=[GET, NOW], tool_choice="required", seed=seed)
        answered = served.create("harmony", tools=[GET], response_format=FORM, seed=seed)
        for choice in (called.choices[0], answered.choices[0]):
            assert choice.finish_reason in ("tool_calls", "stop", "length")
            check_calls(choice.message)
            assert choice.message.content is None or choice.finish_reason != "tool_calls"
            if choice.finish_reason == "stop":
                assert jsonschema_rs.is_valid(ONE, json.loads(choice.message.content))


ASKED_OF_REFUSING = pytest.mark.parametrize(
    "asked",
    [
        {"tools": [GET, NOW], "tool_choice": "required"},
        {"tools": [GET], "tool_choice": {"type": "function", "function": {"name": "get"}}},
        {"response_format": FORM},
    ],
)


@ASKED_OF_REFUSING
def test_a_model_without_a_refusal_token_refuses_in_words(
    served: Served, asked: dict[str, Any]
) -> None:
    bias = served.bias("refusing", 100, "<|eot_id|>")  # steers answers, and no refusal
    choice = served.create("refusing", logit_bias=bias, max_completion_tokens=60, **asked).choices[
        0
    ]
    assert choice.message.refusal == SORRY * 60  # it knows no other word
    assert (choice.message.content, choice.message.tool_calls) == (None, None)
    assert choice.finish_reason == "length"


@ASKED_OF_REFUSING
def test_a_model_may_refuse_in_words_behind_its_thoughts(
    served: Served, asked: dict[str, Any]
) -> None:
    bias = served.bias("reluctant", 100, "</think>")
    choice = served.create("reluctant", logit_bias=bias, max_completion_tokens=60, **asked).choices[
        0
    ]
    assert set((choice.message.refusal or "").split(SORRY)) == {""}
    assert (choice.message.content, choice.message.tool_calls) == (None, None)
    assert choice.finish_reason == "length"


@pytest.mark.parametrize("name", NAMES)
def test_custom_tools_keep_to_their_grammars_in_every_format(served: Served, name: str) -> None:
    quoted = 'start: "\\"" /[ab\\\\]{1,3}/ "\\"\\n"'
    grammars = {
        "quoted": ("lark", quoted, r'"[ab\\]{1,3}"\n'),
        "date": ("regex", "[0-9]{2}/[0-9]{2}", "[0-9]{2}/[0-9]{2}"),
    }
    for custom, (syntax, definition, shape) in grammars.items():
        form = {"type": "grammar", "grammar": {"syntax": syntax, "definition": definition}}
        completion = served.create(
            name,
            tools=[GET, {"type": "custom", "custom": {"name": custom, "format": form}}],
            tool_choice={"type": "custom", "custom": {"name": custom}},
            logit_bias=served.think_briefly(name),
            seed=5,
        )
        (call,) = completion.choices[0].message.tool_calls
        assert re.fullmatch(shape, call.custom.input)


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_that_closes_in_time_is_whole_in_every_format(served: Served, name: str) -> None:
    names = {"type": "array", "items": {"type": "string"}}
    schema = {"type": "object", "properties": {"names": names}, "required": ["names"]}
    tool = {"type": "function", "function": {"name": "get", "parameters": schema}}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    for budget in (70, 100):
        options = {"max_completion_tokens": budget, "extra_body": {"close_in_time": True}}
        called = served.create(name, tools=[tool], tool_choice="required", n=2, **options)
        for choice in called.choices:
            assert choice.message.tool_calls
            for call in choice.message.tool_calls:
                assert jsonschema_rs.is_valid(schema, json.loads(call.function.arguments))
        said = served.create(name, response_format=form, n=2, **options)
        for choice in said.choices:
            assert jsonschema_rs.is_valid(schema, json.loads(choice.message.content))


@pytest.mark.parametrize("name", NAMES)
def test_stop_cuts_content_and_leaves_calls_whole(served: Served, name: str) -> None:
    asked = {"tools": [GET, NOW], "stop": ["a", "e", "}", "\n"], "temperature": 2, "n": 3}
    for choice in served.create(name, **asked, seed=1).choices:
        assert not any(text in (choice.message.content or "") for text in asked["stop"])
        if choice.finish_reason == "tool_calls":
            check_calls(choice.message)


def test_a_format_beside_required_calls_needs_no_telling_apart(served: Served) -> None:
    asked = {"tools": [GET, NOW], "tool_choice": "required", "response_format": FORM}
    choice = served.create("llama3", **asked, seed=1).choices[0]
    assert choice.finish_reason == "tool_calls"
    check_calls(choice.message)


@pytest.mark.parametrize(
    ("name", "asked", "param"),
    [
        ("llama3", {"tools": [GET], "response_format": OPEN_FORM}, "response_format"),
        ("llama3", {"tools": [GET], "response_format": ANY_FORM, **IN_JSON}, "response_format"),
        ("harmony", {"tools": [GET], "stop": "x", "response_format": FORM}, "stop"),
    ],
)
def test_what_a_family_cannot_be_kept_to_is_refused(
    served: Served, name: str, asked: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        served.create(name, **asked)
    assert refused.value.param == param
