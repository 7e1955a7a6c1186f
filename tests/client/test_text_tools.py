from collections.abc import Callable

import openai
import pytest

from formwork_client import AsyncToolLoop, ToolLoop, text_tool
from formwork_client.testing import ScriptedServer, calls, calls_with_text, says

Start = Callable[..., ScriptedServer]
LARK = 'start: "SELECT " /[a-z]+/'


@text_tool(lark=LARK)
def query(sql: str) -> list[str]:
    """Asks the database."""
    return [sql]


def test_a_grammar_goes_into_the_request() -> None:
    assert query.param == {
        "type": "custom",
        "custom": {
            "name": "query",
            "description": "Asks the database.",
            "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": LARK}},
        },
    }


def test_a_text_may_be_bound_by_an_expression_or_free() -> None:
    bound = text_tool(regex="[0-9]+", name="number")(lambda text: text)
    grammar = {"syntax": "regex", "definition": "[0-9]+"}
    assert bound.param["custom"]["format"]["grammar"] == grammar
    assert "format" not in text_tool(name="free")(lambda text: text).param["custom"]


def test_a_text_has_one_grammar_and_one_parameter() -> None:
    with pytest.raises(ValueError, match="either"):
        text_tool(lark=LARK, regex="a")
    with pytest.raises(TypeError, match="one parameter, not 2"):
        text_tool()(lambda one, two: one + two)


def test_the_text_is_given_as_it_is(
    start: Start, connect: Callable[[ScriptedServer], openai.OpenAI]
) -> None:
    server = start(calls_with_text("query", "SELECT a"), says("a"))
    run = ToolLoop(connect(server), [query]).run("Which?", model="any")
    custom = {"name": "query", "input": "SELECT a"}
    assert server.requests[1]["messages"][1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_0", "type": "custom", "custom": custom}],
        },
        {"role": "tool", "tool_call_id": "call_0", "content": '["SELECT a"]'},
    ]
    assert run.text == "a"


async def test_a_call_of_the_other_kind_is_said_to_the_model(
    start: Start, connect_async: Callable[[ScriptedServer], openai.AsyncOpenAI]
) -> None:
    server = start(calls(("query", {"sql": "SELECT a"})), says("?"))
    run = await AsyncToolLoop(connect_async(server), [query]).run("Which?", model="any")
    assert run.messages[2]["content"].startswith('Invalid tool_call: "query".')
