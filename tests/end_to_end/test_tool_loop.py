"""The loop helper through the whole mesh: a model with random weights calls, and has to answer."""

from typing import Literal

import openai
import pytest
from pydantic import BaseModel, Field

from formwork_client import AsyncToolLoop, Run, ToolLoop, tool
from infra.testing import MeshForTests

MODEL = "formwork-mini"
QUESTION = "Get the weather in Lisbon."
# One call at a time, of a few tokens: random weights would go on calling to the limit of tokens.
ASK = {"model": MODEL, "logit_bias": {"11": -100}, "parallel_tool_calls": False}
TURNS = {"max_turns": 3, "must_answer": True}


@tool
def get_weather(city: Literal["Lisbon", "Porto"], days: Literal[1, 2] = 1) -> str:
    """Tells the weather."""
    return f"{city}: 18 degrees for {days} days"


class Report(BaseModel):
    is_warm: bool
    cities: list[Literal["Lisbon", "Porto"]] = Field(max_length=2)


def check(run: Run[Report]) -> None:
    assert isinstance(run.get_parsed(), Report)
    told = [message["content"] for message in run.messages if message["role"] == "tool"]
    assert [text for text in told if "18 degrees" not in text] == []
    assert run.usage.completion_tokens > 0


@pytest.mark.parametrize("seed", range(3))
def test_a_run_ends_with_a_report_after_valid_calls(client: openai.OpenAI, seed: int) -> None:
    loop = ToolLoop(client, [get_weather], **TURNS)
    choice = {"response_format": Report, "tool_choice": "required", "temperature": 1}
    run = loop.run(QUESTION, **ASK, **choice, seed=seed)
    assert len(run.completions) > 1
    check(run)


def test_a_streamed_run_is_the_same(client: openai.OpenAI) -> None:
    loop = ToolLoop(client, [get_weather], **TURNS)
    ask = {**ASK, "response_format": Report, "temperature": 0}
    whole = loop.run(QUESTION, **ask)
    with loop.stream(QUESTION, **ask) as stream:
        streamed = stream.get_final_run()
    check(streamed)
    assert streamed.parsed == whole.parsed
    assert streamed.usage.completion_tokens == whole.usage.completion_tokens


async def test_a_run_may_be_async(mesh: MeshForTests) -> None:
    async with openai.AsyncOpenAI(
        base_url=mesh.base_url,
        api_key=mesh.create_key(),
        http_client=openai.DefaultAsyncHttpxClient(trust_env=False),
    ) as client:
        loop = AsyncToolLoop(client, [get_weather], **TURNS)
        check(await loop.run(QUESTION, **ASK, response_format=Report, temperature=0))
