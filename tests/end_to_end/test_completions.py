import json
from typing import Literal

import openai
import pytest
from pydantic import BaseModel

MODEL = "formwork-mini"
# The token that opens a refusal, which a model with random weights may well choose: never, always.
NO_REFUSAL = {"11": -100}
REFUSAL = {"11": 100}
MESSAGES = [{"role": "user", "content": "The black cat of Nina is 7 years old."}]


class Pet(BaseModel):
    kind: Literal["cat", "dog"]
    is_black: bool
    legs: Literal[2, 4]


SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "pet",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"kind": {"enum": ["cat", "dog"]}, "is_black": {"type": "boolean"}},
            "required": ["kind", "is_black"],
            "additionalProperties": False,
        },
    },
}


def test_create_answers_within_the_schema(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model=MODEL,
        messages=MESSAGES,
        response_format=SCHEMA,
        logit_bias=NO_REFUSAL,
    )
    choice = completion.choices[0]
    assert choice.finish_reason == "stop"
    answer = json.loads(choice.message.content)
    assert list(answer) == ["kind", "is_black"]
    assert answer["kind"] in {"cat", "dog"}
    assert completion.model == "formwork-mini-2026-11-26"
    usage = completion.usage
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_parse_gives_the_pydantic_model(client: openai.OpenAI) -> None:
    completion = client.chat.completions.parse(
        model=MODEL, messages=MESSAGES, response_format=Pet, logit_bias=NO_REFUSAL
    )
    parsed = completion.choices[0].message.parsed
    assert isinstance(parsed, Pet)


def test_stream_helper_ends_with_the_parsed_model(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model=MODEL,
        messages=MESSAGES,
        response_format=Pet,
        logit_bias=NO_REFUSAL,
        stream_options={"include_usage": True},
    ) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert "content.delta" in kinds
    assert isinstance(final.choices[0].message.parsed, Pet)
    assert final.usage is not None


def test_streamed_and_whole_answers_are_the_same_bytes(client: openai.OpenAI) -> None:
    ask = {"model": MODEL, "messages": MESSAGES, "response_format": SCHEMA, "seed": 7}
    whole = client.chat.completions.create(**ask, logit_bias=NO_REFUSAL)
    chunks = client.chat.completions.create(**ask, logit_bias=NO_REFUSAL, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content


def test_several_choices_each_fit_the_schema(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, response_format=SCHEMA, n=3, logit_bias=NO_REFUSAL
    )
    assert [choice.index for choice in completion.choices] == [0, 1, 2]
    for choice in completion.choices:
        assert set(json.loads(choice.message.content)) == {"kind", "is_black"}


def test_text_that_does_not_end_is_cut_at_the_limit(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, max_completion_tokens=5, logit_bias={"2": -100}
    )
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage.completion_tokens == 5


def test_a_refusal_comes_in_its_own_field(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model=MODEL,
        messages=MESSAGES,
        response_format=SCHEMA,
        max_completion_tokens=20,
        logit_bias=REFUSAL,
    )
    message = completion.choices[0].message
    assert message.content is None
    assert message.refusal is not None


def test_logprobs_come_for_every_token(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, max_completion_tokens=4, logprobs=True, top_logprobs=2
    )
    content = completion.choices[0].logprobs.content
    assert 1 <= len(content) <= 4
    assert all(len(token.top_logprobs) == 2 for token in content)


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert "formwork-mini-2026-11-26" in names
    assert client.models.retrieve(names[0]).object == "model"


def test_an_unknown_model_is_404(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="no-such-model", messages=MESSAGES)
    assert caught.value.code == "model_not_found"


def test_a_schema_outside_the_dialect_is_refused_by_pointer(client: openai.OpenAI) -> None:
    schema = json.loads(json.dumps(SCHEMA))
    del schema["json_schema"]["schema"]["additionalProperties"]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=MESSAGES, response_format=schema)
    assert caught.value.param == "response_format"
    assert "additionalProperties" in caught.value.message


def test_an_unsupported_parameter_is_refused_by_name(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model=MODEL, messages=MESSAGES, extra_body={"no_such_parameter": 1}
        )
    assert "no_such_parameter" in caught.value.message


def test_an_answer_says_where_its_time_went(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=MESSAGES,
        response_format=SCHEMA,
        logit_bias=NO_REFUSAL,
    )
    timing = raw.headers["server-timing"]
    for phase in ("queue", "compile", "prefill", "decode"):
        assert f"{phase};dur=" in timing
    assert raw.headers["x-request-id"].startswith("req_")
