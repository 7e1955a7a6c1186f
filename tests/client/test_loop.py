"""What both loops do: each test runs `ToolLoop` and `AsyncToolLoop`, whole and streamed."""

import contextvars
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import openai
import pydantic
import pytest

from formwork_client import (
    AsyncToolLoop,
    Call,
    CutOffError,
    RefusalError,
    Run,
    ToolLoop,
    TurnLimitError,
    raise_failure,
    tool,
)
from formwork_client.testing import ScriptedServer, calls, refuses, says

MODEL = "any"
Ask = Callable[..., Awaitable[Run[Any]]]
Start = Callable[..., ScriptedServer]


@tool
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@tool
def divide(a: int, b: int) -> float:
    """Divides two numbers."""
    return a / b


class Total(pydantic.BaseModel):
    total: int


@pytest.fixture(params=["sync", "sync streamed", "async", "async streamed"])
def ask(
    request: pytest.FixtureRequest,
    connect: Callable[[ScriptedServer], openai.OpenAI],
    connect_async: Callable[[ScriptedServer], openai.AsyncOpenAI],
) -> Ask:
    """Return what asks a server with one of the loops, however it is to be asked."""

    async def run(
        server: ScriptedServer,
        tools: list[Any],
        question: object = "How much?",
        *,
        loop: dict[str, Any] | None = None,
        **given: object,
    ) -> Run[Any]:
        parameters: dict[str, Any] = {"model": MODEL, **given}
        if request.param.startswith("async"):
            waiting = AsyncToolLoop(connect_async(server), tools, **(loop or {}))
            if request.param == "async":
                return await waiting.run(question, **parameters)
            async with waiting.stream(question, **parameters) as stream:
                return await stream.get_final_run()
        blocking = ToolLoop(connect(server), tools, **(loop or {}))
        if request.param == "sync":
            return blocking.run(question, **parameters)
        with blocking.stream(question, **parameters) as stream:
            return stream.get_final_run()

    return run


async def test_an_answer_without_calls_is_the_run(start: Start, ask: Ask) -> None:
    run = await ask(start(says("Five.")), [add], temperature=0.5)
    assert run.text == "Five."
    assert run.refusal is None
    assert run.messages == [
        {"role": "user", "content": "How much?"},
        {"role": "assistant", "content": "Five."},
    ]


async def test_calls_are_carried_out_and_told(start: Start, ask: Ask) -> None:
    server = start(
        calls(("add", {"a": 2, "b": 3}), ("divide", {"a": 1, "b": 2})), says("5 and 0.5")
    )
    run = await ask(server, [add, divide], seed=3)
    assert run.text == "5 and 0.5"
    first, second = server.requests
    assert [tool["function"]["name"] for tool in first["tools"]] == ["add", "divide"]
    assert first["tools"] == second["tools"]
    assert first["seed"] == second["seed"] == 3
    assert second["messages"] == [
        {"role": "user", "content": "How much?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_0",
                    "type": "function",
                    "function": {"name": "add", "arguments": '{"a": 2, "b": 3}'},
                },
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "divide", "arguments": '{"a": 1, "b": 2}'},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "call_0", "content": "5"},
        {"role": "tool", "tool_call_id": "call_1", "content": "0.5"},
    ]
    assert run.messages == [*second["messages"], {"role": "assistant", "content": "5 and 0.5"}]


async def test_a_run_goes_on_from_the_messages_of_another(start: Start, ask: Ask) -> None:
    server = start(says("Five."), says("Six."))
    run = await ask(server, [add])
    await ask(server, [add], [*run.messages, {"role": "user", "content": "And one more?"}])
    assert [message["role"] for message in server.requests[1]["messages"]] == [
        "user",
        "assistant",
        "user",
    ]


async def test_usage_is_the_sum_of_all_turns(start: Start, ask: Ask) -> None:
    run = await ask(start(calls(("add", {"a": 1, "b": 1})), says("2")), [add])
    assert run.usage.prompt_tokens == 20
    assert run.usage.completion_tokens == 4
    assert run.usage.total_tokens == 24
    assert run.usage.prompt_tokens_details.cached_tokens == 8
    assert run.usage.completion_tokens_details is None


async def test_the_answer_is_parsed(start: Start, ask: Ask) -> None:
    server = start(calls(("add", {"a": 1, "b": 1})), says('{"total": 2}'))
    run = await ask(server, [add], response_format=Total)
    assert run.parsed == run.get_parsed() == Total(total=2)
    written = server.requests[0]["response_format"]
    assert written["type"] == "json_schema"
    assert written["json_schema"]["name"] == "Total"
    assert written["json_schema"]["strict"] is True
    assert written["json_schema"]["schema"]["additionalProperties"] is False


async def test_a_response_format_may_be_what_the_api_takes(start: Start, ask: Ask) -> None:
    server = start(says("{}"))
    run = await ask(server, [add], response_format={"type": "json_object"})
    assert server.requests[0]["response_format"] == {"type": "json_object"}
    with pytest.raises(ValueError, match="nothing was parsed"):
        run.get_parsed()


async def test_a_refusal_ends_the_run(start: Start, ask: Ask) -> None:
    run = await ask(start(refuses("I cannot.")), [add], response_format=Total)
    assert run.refusal == "I cannot."
    assert run.text is None
    assert run.parsed is None
    assert run.messages[-1] == {"role": "assistant", "content": None, "refusal": "I cannot."}
    with pytest.raises(RefusalError) as caught:
        run.get_parsed()
    assert caught.value.refusal == "I cannot."


async def test_an_unknown_tool_is_said_to_the_model(start: Start, ask: Ask) -> None:
    server = start(calls(("subtract", {"a": 1}), ("add", {"a": 1, "b": 1})), says("2"))
    run = await ask(server, [add, divide])
    assert run.messages[2]["content"] == (
        'Invalid tool_call: "subtract". Available options are: "add", "divide". Please try again'
    )
    assert run.messages[3]["content"] == "2"


@pytest.mark.parametrize(
    "text", ['{"a": 1}', '{"a": 1, "b": "x"}', '{"a": 1, "b": 2, "c": 3}', "{"]
)
async def test_arguments_that_do_not_fit_are_said_to_the_model(
    start: Start, ask: Ask, text: str
) -> None:
    run = await ask(start(calls(("add", text)), says("2")), [add])
    assert run.messages[2]["content"].startswith('Invalid arguments of "add": ')
    assert run.messages[2]["content"].endswith(". Please try again")


async def test_a_tool_that_fails_is_said_to_the_model(start: Start, ask: Ask) -> None:
    run = await ask(start(calls(("divide", {"a": 1, "b": 0})), says("?")), [divide])
    assert run.messages[2]["content"] == "divide failed: ZeroDivisionError: division by zero"


async def test_what_is_said_of_a_failure_can_be_decided(start: Start, ask: Ask) -> None:
    server = start(calls(("divide", {"a": 1, "b": 0})), says("?"))
    told = {"on_failure": lambda call, error: f"{call.text}: {type(error).__name__}"}
    run = await ask(server, [divide], loop=told)
    assert run.messages[2]["content"] == '{"a": 1, "b": 0}: ZeroDivisionError'


async def test_a_failure_can_end_the_run_when_all_calls_are_done(start: Start, ask: Ask) -> None:
    done: list[int] = []

    @tool
    def late(number: int) -> None:
        done.append(number)

    server = start(calls(("divide", {"a": 1, "b": 0}), ("late", {"number": 1})))
    with pytest.raises(ZeroDivisionError):
        await ask(server, [divide, late], loop={"on_failure": raise_failure})
    assert done == [1]


async def test_a_result_without_json_is_a_failure(start: Start, ask: Ask) -> None:
    @tool
    def lock() -> object:
        return object()

    run = await ask(start(calls(("lock", {})), says("?")), [lock])
    assert run.messages[2]["content"].startswith("lock failed: PydanticSerializationError: ")


async def test_results_are_text_or_json(start: Start, ask: Ask) -> None:
    results = {"text": "as it is", "model": Total(total=1), "none": None, "several": [1, "é"]}

    @tool
    def give(which: str) -> object:
        return results[which]

    server = start(calls(*(("give", {"which": which}) for which in results)), says("."))
    run = await ask(server, [give])
    told = [message["content"] for message in run.messages[2:-1]]
    assert told == ["as it is", '{"total":1}', "null", '[1,"é"]']


async def test_calls_of_one_turn_run_at_the_same_time(start: Start, ask: Ask) -> None:
    together = threading.Barrier(2, timeout=10)

    @tool
    def meet(name: str) -> str:
        together.wait()
        return name

    server = start(calls(("meet", {"name": "a"}), ("meet", {"name": "b"})), says("met"))
    run = await ask(server, [meet])
    assert [message["content"] for message in run.messages[2:4]] == ["a", "b"]


async def test_tools_see_the_caller_s_context_variables(start: Start, ask: Ask) -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("set")

    @tool
    def look() -> str:
        return variable.get()

    run = await ask(start(calls(("look", {})), says(".")), [look])
    assert run.messages[2]["content"] == "set"


async def test_turns_are_limited_and_the_error_holds_a_conversation_to_go_on_with(
    start: Start, ask: Ask
) -> None:
    server = start(*[calls(("add", {"a": 1, "b": 1}))] * 2, says("2"))
    with pytest.raises(TurnLimitError, match="no answer within 2 turns") as caught:
        await ask(server, [add], loop={"max_turns": 2})
    run = caught.value.run
    assert len(run.completions) == len(server.requests) == 2
    assert run.messages[-1]["content"] == "2"
    assert (await ask(server, [add], run.messages)).text == "2"


async def test_the_last_turn_can_be_bound_to_answer(start: Start, ask: Ask) -> None:
    server = start(*[calls(("add", {"a": 1, "b": 1}))] * 2, says("2"))
    await ask(server, [add], loop={"max_turns": 3, "must_answer": True})
    choices = [request.get("tool_choice") for request in server.requests]
    assert choices == [None, None, "none"]


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_an_answer_that_was_cut_off_is_an_error(start: Start, ask: Ask, reason: str) -> None:
    with pytest.raises(CutOffError, match=reason) as caught:
        await ask(start(says('{"tot', finish_reason=reason)), [add], response_format=Total)
    assert caught.value.reason == reason
    assert caught.value.run.text == '{"tot'


async def test_calls_that_were_cut_off_are_not_carried_out(start: Start, ask: Ask) -> None:
    done: list[int] = []

    @tool
    def note(number: int) -> None:
        done.append(number)

    server = start(calls(("note", {"number": 1}), ("note", '{"num'), finish_reason="length"))
    with pytest.raises(CutOffError):
        await ask(server, [note])
    assert done == []


async def test_an_error_of_the_api_is_the_client_s_own(start: Start, ask: Ask) -> None:
    with pytest.raises(openai.NotFoundError):
        await ask(start(), [add])


@pytest.mark.parametrize(
    ("first", "later"),
    [
        ("required", "auto"),
        ("auto", "auto"),
        ("none", "none"),
        ({"type": "function", "function": {"name": "add"}}, "auto"),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}},
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}},
        ),
    ],
)
async def test_a_demanded_call_is_demanded_once(
    start: Start, ask: Ask, first: object, later: object
) -> None:
    server = start(calls(("add", {"a": 1, "b": 1})), says("2"))
    await ask(server, [add], tool_choice=first)
    assert [request["tool_choice"] for request in server.requests] == [first, later]


async def test_calls_go_where_the_executor_takes_them(start: Start, ask: Ask) -> None:
    class Queue:
        """What a job queue has of a call: name and JSON. A worker elsewhere has the same tools."""

        def __init__(self) -> None:
            self.jobs: list[tuple[str, str]] = []

        def submit(self, call: Call) -> Future[Any]:
            self.jobs.append((call.name, call.text))
            future: Future[Any] = Future()
            future.set_result(add(**add.read(call.text)))
            return future

    queue = Queue()
    server = start(calls(("add", {"a": 2, "b": 3}), ("add", {"a": 2})), says("5"))
    run = await ask(server, [add], loop={"executor": queue})
    assert queue.jobs == [("add", '{"a": 2, "b": 3}')]
    assert run.messages[2]["content"] == "5"


async def test_an_executor_of_the_standard_library_is_one(start: Start, ask: Ask) -> None:
    with ThreadPoolExecutor(1) as pool:
        server = start(calls(("add", {"a": 2, "b": 3})), says("5"))
        run = await ask(server, [add], loop={"executor": pool})
    assert run.messages[2]["content"] == "5"


async def test_an_executor_that_takes_nothing_is_a_failure_of_the_call(
    start: Start, ask: Ask
) -> None:
    class Closed:
        def submit(self, call: Call) -> Future[Any]:
            raise ConnectionError("the queue is away")

    server = start(calls(("add", {"a": 2, "b": 3})), says("?"))
    run = await ask(server, [add], loop={"executor": Closed()})
    assert run.messages[2]["content"] == "add failed: ConnectionError: the queue is away"


async def test_two_tools_of_one_name_are_refused(start: Start, ask: Ask) -> None:
    with pytest.raises(ValueError, match="two tools are called 'add'"):
        await ask(start(), [add, tool(name="add")(lambda: None)])


async def test_a_loop_without_tools_asks_for_text(start: Start, ask: Ask) -> None:
    server = start(says("."))
    await ask(server, [])
    assert "tools" not in server.requests[0]
