import asyncio
import threading
from collections.abc import Callable

import openai
import pytest

from formwork_client import AsyncToolLoop, Call, ToolLoop, tool
from formwork_client.testing import ScriptedServer, calls, says

Start = Callable[..., ScriptedServer]
ConnectAsync = Callable[[ScriptedServer], openai.AsyncOpenAI]
MODEL = "any"


async def test_async_tools_run_in_the_caller_s_event_loop_together(
    start: Start, connect_async: ConnectAsync
) -> None:
    together = asyncio.Barrier(2)

    @tool
    async def meet(name: str) -> str:
        await asyncio.wait_for(together.wait(), 10)
        return f"{name} in {threading.current_thread().name}"

    server = start(calls(("meet", {"name": "a"}), ("meet", {"name": "b"})), says("met"))
    run = await AsyncToolLoop(connect_async(server), [meet]).run("?", model=MODEL)
    here = threading.current_thread().name
    assert [message["content"] for message in run.messages[2:4]] == [f"a in {here}", f"b in {here}"]


async def test_async_tools_fail_like_others(start: Start, connect_async: ConnectAsync) -> None:
    @tool
    async def fail() -> None:
        raise LookupError("nothing there")

    server = start(calls(("fail", {})), says("?"))
    run = await AsyncToolLoop(connect_async(server), [fail]).run("?", model=MODEL)
    assert run.messages[2]["content"] == "fail failed: LookupError: nothing there"


async def test_a_run_that_is_cancelled_cancels_its_tools(
    start: Start, connect_async: ConnectAsync
) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    @tool
    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    loop = AsyncToolLoop(connect_async(start(calls(("wait", {})))), [wait])
    running = asyncio.create_task(loop.run("?", model=MODEL))
    await asyncio.wait_for(begun.wait(), 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended.is_set()


async def test_an_executor_may_answer_with_an_awaitable(
    start: Start, connect_async: ConnectAsync
) -> None:
    @tool
    def add(a: int, b: int) -> int:
        return a + b

    class Queue:
        async def submit(self, call: Call) -> object:
            await asyncio.sleep(0)
            return call()

    server = start(calls(("add", {"a": 2, "b": 3})), says("5"))
    loop = AsyncToolLoop(connect_async(server), [add], executor=Queue())
    assert (await loop.run("?", model=MODEL)).messages[2]["content"] == "5"


def test_a_loop_that_blocks_takes_no_async_tool() -> None:
    @tool
    async def wait() -> None:
        pass

    with openai.OpenAI(api_key="any") as client, pytest.raises(TypeError, match="AsyncToolLoop"):
        ToolLoop(client, [wait])
