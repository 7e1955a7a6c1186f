"""Lets a model call Python functions, through the official OpenAI client, until it has an answer.

    @tool
    def add(a: int, b: int) -> int:
        "Adds two numbers."
        return a + b

    run = ToolLoop(openai.OpenAI(), [add]).run("What is 2 and 3?", model="formwork-mini")
    print(run.text)

`ToolLoop` and `AsyncToolLoop` ask and run calls; `Conversation` and its `Turn`s decide what comes
next and touch nothing; `Tool` knows its function's schema. What a caller gets is a `Run`; what goes
wrong is a `LoopError`, which holds the run so far.
"""

from formwork_client.async_loop import AsyncToolLoop
from formwork_client.calls import AsyncExecutor, Call, Executor, Reply
from formwork_client.errors import CutOffError, LoopError, RefusalError, TurnLimitError
from formwork_client.events import CallDone, CallStarted, Event, TurnDone
from formwork_client.failures import describe_failure, raise_failure
from formwork_client.function_tools import FunctionTool, tool
from formwork_client.loop import ToolLoop
from formwork_client.run import Run
from formwork_client.streams import AsyncRunStream, RunStream
from formwork_client.text_tools import TextTool, text_tool
from formwork_client.tools import Tool

__all__ = [
    "AsyncExecutor",
    "AsyncRunStream",
    "AsyncToolLoop",
    "Call",
    "CallDone",
    "CallStarted",
    "CutOffError",
    "Event",
    "Executor",
    "FunctionTool",
    "LoopError",
    "RefusalError",
    "Reply",
    "Run",
    "RunStream",
    "TextTool",
    "Tool",
    "ToolLoop",
    "TurnDone",
    "TurnLimitError",
    "describe_failure",
    "raise_failure",
    "text_tool",
    "tool",
]
