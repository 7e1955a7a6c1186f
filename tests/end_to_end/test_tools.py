"""Tools through the whole mesh: every call is of a known tool, with arguments that fit."""

import json
from typing import Any, Literal

import jsonschema_rs
import openai
import pytest
from pydantic import BaseModel

MODEL = "formwork-mini"
NO_REFUSAL = {"11": -100}
ASK = [{"role": "user", "content": "Get the weather in Lisbon, unit celsius."}]
WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 20},
        "unit": {"enum": ["celsius", "fahrenheit"]},
    },
    "required": ["city", "unit"],
    "additionalProperties": False,
}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a city.",
            "parameters": WEATHER,
            "strict": True,
        },
    },
    {"type": "function", "function": {"name": "get_time"}},
]
SCHEMAS = {"get_weather": WEATHER, "get_time": {"type": "object", "maxProperties": 0}}
PYTHAGORAS = 'start: "a" ("^2")? " + " "b" ("^2")? " = " /[c-f]/'


class SearchOrders(BaseModel):
    status: Literal["open", "closed"]
    limit: Literal[1, 10] | None


def create(client: openai.OpenAI, **parameters: Any) -> Any:  # noqa: ANN401 - of the client
    options = {"logit_bias": NO_REFUSAL, "max_completion_tokens": 200, **parameters}
    return client.chat.completions.create(model=MODEL, messages=ASK, **options)


def check_calls(message: Any) -> int:  # noqa: ANN401 - of the client
    """Return how many calls a message has, once all are found to be valid."""
    for call in message.tool_calls or []:
        schema = SCHEMAS[call.function.name]
        assert jsonschema_rs.is_valid(schema, json.loads(call.function.arguments))
    return len(message.tool_calls or [])


@pytest.mark.parametrize("temperature", [0, 2])
def test_required_calls_are_of_known_tools_and_fit(
    client: openai.OpenAI, temperature: float
) -> None:
    for seed in range(4):
        completion = create(
            client, tools=TOOLS, tool_choice="required", temperature=temperature, seed=seed
        )
        choice = completion.choices[0]
        if choice.finish_reason == "length":
            continue
        assert choice.finish_reason == "tool_calls"
        assert check_calls(choice.message) >= 1
        assert choice.message.content is None


def test_a_named_tool_is_called_once(client: openai.OpenAI) -> None:
    choice = {"type": "function", "function": {"name": "get_time"}}
    message = create(client, tools=TOOLS, tool_choice=choice).choices[0].message
    assert [call.function.name for call in message.tool_calls] == ["get_time"]
    assert message.tool_calls[0].function.arguments == "{}"


def test_with_auto_it_calls_or_answers_and_with_none_it_answers(client: openai.OpenAI) -> None:
    for seed in range(4):
        answer = create(client, tools=TOOLS, temperature=1, seed=seed).choices[0]
        assert answer.finish_reason in ("stop", "tool_calls", "length")
        check_calls(answer.message)
        silent = create(client, tools=TOOLS, tool_choice="none", temperature=2, seed=seed)
        assert silent.choices[0].message.tool_calls is None


def test_a_format_and_tools_together_are_both_constrained(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"done": {"type": "boolean"}},
        "required": ["done"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": schema}}
    kinds = set()
    for seed in range(8):
        choice = create(
            client, tools=TOOLS, response_format=form, temperature=2, seed=seed
        ).choices[0]
        kinds.add(choice.finish_reason)
        if choice.finish_reason == "stop":
            assert json.loads(choice.message.content).keys() == {"done"}
        check_calls(choice.message)
    assert kinds <= {"stop", "tool_calls", "length"}


def test_a_custom_tool_keeps_to_its_grammar(client: openai.OpenAI) -> None:
    grammar = {"syntax": "lark", "definition": PYTHAGORAS}
    custom = {"name": "solve", "format": {"type": "grammar", "grammar": grammar}}
    completion = create(
        client, tools=[{"type": "custom", "custom": custom}], tool_choice="required", seed=1
    )
    for call in completion.choices[0].message.tool_calls:
        left, _, right = call.custom.input.partition(" = ")
        assert left.replace("^2", "") == "a + b"
        assert right in "cdef"


def test_the_stream_helper_puts_calls_together(client: openai.OpenAI) -> None:
    tools = [openai.pydantic_function_tool(SearchOrders)]
    with client.chat.completions.stream(
        model=MODEL,
        messages=ASK,
        tools=tools,
        tool_choice="required",
        parallel_tool_calls=False,
        logit_bias={11: -100},
        max_completion_tokens=300,
        seed=3,
    ) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        final = stream.get_final_completion().choices[0]
    assert final.finish_reason == "tool_calls"
    assert len(done) == len(final.message.tool_calls or []) == 1
    assert isinstance(final.message.tool_calls[0].function.parsed_arguments, SearchOrders)


def test_results_of_calls_go_back_into_the_conversation(client: openai.OpenAI) -> None:
    first = create(client, tools=TOOLS, tool_choice="required").choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"}
        for call in first.tool_calls
    ]
    completion = client.chat.completions.create(
        model=MODEL,
        messages=[*ASK, first, *results],
        tools=TOOLS,
        tool_choice="none",
        max_completion_tokens=30,
    )
    assert completion.choices[0].finish_reason in ("stop", "length")


def test_a_model_may_refuse_under_required_tools(client: openai.OpenAI) -> None:
    message = (
        create(
            client,
            tools=TOOLS,
            tool_choice="required",
            logit_bias={"11": 100},
            max_completion_tokens=40,
        )
        .choices[0]
        .message
    )
    assert message.refusal
    assert (message.content, message.tool_calls) == (None, None)


@pytest.mark.parametrize("budget", [24, 40, 60])
def test_an_answer_that_closes_in_time_is_whole_whatever_its_budget(
    client: openai.OpenAI, budget: int
) -> None:
    items = {"type": "array", "items": {"type": "string"}}
    schema = {
        "type": "object",
        "properties": {"notes": items},
        "required": ["notes"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": schema}}
    for seed in range(4):
        choice = client.chat.completions.create(
            model=MODEL,
            messages=ASK,
            response_format=form,
            logit_bias=NO_REFUSAL,
            temperature=1.5,
            seed=seed,
            max_completion_tokens=budget,
            extra_body={"close_in_time": True},
        ).choices[0]
        assert choice.finish_reason in ("stop", "length")
        assert jsonschema_rs.is_valid(schema, json.loads(choice.message.content))
