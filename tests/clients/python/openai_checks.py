import json

import openai
from checks import MESSAGES, MODEL, Person, run

client = openai.OpenAI(max_retries=0)
TOOLS = [openai.pydantic_function_tool(Person, name="save")]
ask = {"model": MODEL, "messages": MESSAGES, "temperature": 0}


def create() -> None:
    schema = {**Person.model_json_schema(), "additionalProperties": False}
    completion = client.chat.completions.create(
        **ask,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "person", "strict": True, "schema": schema},
        },
    )
    Person.model_validate(json.loads(completion.choices[0].message.content))
    assert completion.usage.completion_tokens > 0


def parse() -> None:
    completion = client.chat.completions.parse(**ask, response_format=Person)
    assert isinstance(completion.choices[0].message.parsed, Person)


def stream() -> None:
    with client.chat.completions.stream(**ask, response_format=Person) as events:
        pieces = [event.delta for event in events if event.type == "content.delta"]
        message = events.get_final_completion().choices[0].message
    assert "".join(pieces) == message.content
    assert isinstance(message.parsed, Person)


def parse_call() -> None:
    choice = client.chat.completions.parse(**ask, tools=TOOLS, tool_choice="required").choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    for call in choice.message.tool_calls:
        assert isinstance(call.function.parsed_arguments, Person)


def stream_call() -> None:
    with client.chat.completions.stream(**ask, tools=TOOLS, tool_choice="required") as events:
        done = [e for e in events if e.type == "tool_calls.function.arguments.done"]
        calls = events.get_final_completion().choices[0].message.tool_calls
    assert [event.arguments for event in done] == [call.function.arguments for call in calls]
    assert all(isinstance(event.parsed_arguments, Person) for event in done)


run(
    "openai",
    {
        "`chat.completions.create` with a JSON Schema": create,
        "`chat.completions.parse` with a pydantic model": parse,
        "`chat.completions.stream` with a pydantic model": stream,
        "`chat.completions.parse` with `pydantic_function_tool`": parse_call,
        "`chat.completions.stream` with `pydantic_function_tool`": stream_call,
    },
)
