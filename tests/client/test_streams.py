from collections.abc import Callable

import openai
import pytest

from formwork_client import AsyncToolLoop, CutOffError, ToolLoop, text_tool, tool
from formwork_client.conversation import Conversation, Turns
from formwork_client.testing import ScriptedServer, calls, refuses, says
from formwork_client.toolbox import Toolbox

Start = Callable[..., ScriptedServer]
Connect = Callable[[ScriptedServer], openai.OpenAI]
ConnectAsync = Callable[[ScriptedServer], openai.AsyncOpenAI]
MODEL = "any"


@tool
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


SCRIPT = (calls(("add", {"a": 2, "b": 3}), ("add", {"a": 2})), says("It is five."))
EXPECTED = [
    *["chunk", "tool_calls.function.arguments.delta"],
    "tool_calls.function.arguments.done",
    "turn.done",
    *["call.started", "call.done", "call.done"],
    *["content.delta", "content.done"],
    "turn.done",
]


def test_events_come_in_order(start: Start, connect: Connect) -> None:
    kinds: list[str] = []
    with ToolLoop(connect(start(*SCRIPT)), [add]).stream("2 + 3?", model=MODEL) as stream:
        kinds.extend(event.type for event in stream)
        run = stream.get_final_run()
    assert run.text == "It is five."
    assert list(dict.fromkeys(kinds)) == list(dict.fromkeys(EXPECTED))
    seen = [kind for kind in kinds if kind in {"turn.done", "call.started", "call.done"}]
    assert seen == ["turn.done", "call.started", "call.done", "call.done", "turn.done"]


async def test_events_come_in_order_async(start: Start, connect_async: ConnectAsync) -> None:
    loop = AsyncToolLoop(connect_async(start(*SCRIPT)), [add])
    async with loop.stream("2 + 3?", model=MODEL) as stream:
        kinds = [event.type async for event in stream]
    seen = [kind for kind in kinds if kind in {"turn.done", "call.started", "call.done"}]
    assert seen == ["turn.done", "call.started", "call.done", "call.done", "turn.done"]
    assert (await stream.get_final_run()).text == "It is five."


def test_text_comes_in_pieces_that_make_the_answer(start: Start, connect: Connect) -> None:
    with ToolLoop(connect(start(*SCRIPT)), [add]).stream("2 + 3?", model=MODEL) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
    assert len(pieces) > 1
    assert "".join(pieces) == "It is five."


def test_a_refusal_comes_in_pieces(start: Start, connect: Connect) -> None:
    with ToolLoop(connect(start(refuses("I cannot."))), []).stream("?", model=MODEL) as stream:
        pieces = [event.delta for event in stream if event.type == "refusal.delta"]
    assert "".join(pieces) == stream.get_final_run().refusal == "I cannot."


def test_calls_and_their_replies_are_told(start: Start, connect: Connect) -> None:
    with ToolLoop(connect(start(*SCRIPT)), [add]).stream("2 + 3?", model=MODEL) as stream:
        events = list(stream)
    started = [event.call for event in events if event.type == "call.started"]
    done = [event.reply for event in events if event.type == "call.done"]
    assert [(call.name, call.keywords) for call in started] == [("add", {"a": 2, "b": 3})]
    assert {reply.id: reply.content[:7] for reply in done} == {"call_0": "5", "call_1": "Invalid"}


@pytest.mark.parametrize(
    "answer", [says("", finish_reason=None), says("It is", finish_reason=None)]
)
def test_a_stream_that_breaks_off_is_no_answer(
    start: Start, connect: Connect, answer: object
) -> None:
    stream = ToolLoop(connect(start(answer)), [add]).stream("?", model=MODEL)
    with stream, pytest.raises(CutOffError, match="broke off") as caught:
        stream.get_final_run()
    assert caught.value.reason is None


def test_a_stream_that_brings_nothing_is_no_answer() -> None:
    conversation = Conversation(Toolbox([]), Turns(1, must_answer=False), "?", None, {})
    with pytest.raises(CutOffError) as caught:
        conversation.accept(None)
    assert caught.value.run.text is None
    assert caught.value.run.usage.total_tokens == 0


def test_a_stream_that_is_left_early_ends_there(start: Start, connect: Connect) -> None:
    server = start(*SCRIPT)
    with ToolLoop(connect(server), [add]).stream("2 + 3?", model=MODEL) as stream:
        next(iter(stream))
    assert list(stream) == []
    assert len(server.requests) == 1


def test_calls_with_text_are_not_streamed(start: Start, connect: Connect) -> None:
    query = text_tool(regex="a+")(lambda text: text)
    loop = ToolLoop(connect(start()), [query])
    with pytest.raises(ValueError, match="cannot be streamed"):
        loop.stream("?", model=MODEL)
