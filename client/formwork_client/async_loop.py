"""The loop over an `openai.AsyncOpenAI`."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Iterable
from concurrent.futures import Future
from contextlib import aclosing
from typing import Any

import openai
from openai.types.chat.completion_create_params import ResponseFormat
from typing_extensions import Unpack

from formwork_client.calls import AsyncExecutor, Call, Reply, write_result
from formwork_client.conversation import Conversation, Turns
from formwork_client.events import CallDone, CallStarted, Event, TurnDone
from formwork_client.failures import FailureHandler, describe_failure
from formwork_client.messages import Question
from formwork_client.parameters import Parameters
from formwork_client.run import AnswerT, Run
from formwork_client.snapshot import Snapshot
from formwork_client.streams import AsyncRunStream
from formwork_client.toolbox import Toolbox
from formwork_client.tools import AnyTool


class AsyncToolLoop:
    """Asks a model, carries out what it calls, and asks again, until it answers.

    Args:
        client: The official client; its retries and timeouts hold for each request.
        tools: Functions made with `tool`, `async` or not.
        max_turns: How many answers a run may ask for.
        must_answer: Whether tools are switched off in the last turn, so that it cannot be a call.
        executor: Where calls are carried out; else here, what is not `async` in threads. Those of
            one turn run at the same time.
        on_failure: What the model is told when a tool fails; `raise_failure` ends the run instead.

    Raises:
        ValueError: Two tools have the same name.
    """

    def __init__(  # noqa: PLR0913 - each is one thing that a loop can be told
        self,
        client: openai.AsyncOpenAI,
        tools: Iterable[AnyTool],
        *,
        max_turns: int = 10,
        must_answer: bool = False,
        executor: AsyncExecutor | None = None,
        on_failure: FailureHandler = describe_failure,
    ) -> None:
        self._client = client
        self._toolbox = Toolbox(tools)
        self._turns = Turns(max_turns, must_answer)
        self._executor = executor or _Here()
        self._on_failure = on_failure

    async def run(
        self,
        question: Question,
        *,
        model: str,
        response_format: type[AnswerT] | ResponseFormat | None = None,
        **parameters: Unpack[Parameters],
    ) -> Run[AnswerT]:
        """Return the run once the model has answered.

        Takes and raises what `ToolLoop.run` does.
        """
        ask = {**parameters, "model": model}
        conversation = Conversation[AnswerT](
            self._toolbox, self._turns, question, response_format, ask
        )
        while not conversation.is_over:
            request = conversation.write_request()
            turn = conversation.accept(await self._client.chat.completions.create(**request))
            replies = [reply async for reply in self._carry_out(turn.calls)]
            conversation.add([*turn.invalid, *replies])
        return conversation.to_run()

    def stream(
        self,
        question: Question,
        *,
        model: str,
        response_format: type[AnswerT] | ResponseFormat | None = None,
        **parameters: Unpack[Parameters],
    ) -> AsyncRunStream[AnswerT]:
        """Return the run as it happens; takes what `run` takes, and raises it when iterated.

        Used with `async with`, it ends its connection also when it is not read to the end.

        Raises:
            ValueError: A tool takes a text; its calls cannot be streamed.
        """
        self._toolbox.check_streamable()
        ask = {**parameters, "model": model}
        conversation = Conversation[AnswerT](
            self._toolbox, self._turns, question, response_format, ask
        )
        return AsyncRunStream(self._tell(conversation), conversation)

    async def _tell(self, conversation: Conversation[Any]) -> AsyncGenerator[Event, None]:
        while not conversation.is_over:
            snapshot = Snapshot()
            request = conversation.write_request(stream=True)
            async with await self._client.chat.completions.create(**request) as chunks:
                async for chunk in chunks:
                    for event in snapshot.add(chunk):
                        yield event
            turn = conversation.accept(snapshot.find_completion())
            yield TurnDone(conversation.last)
            for call in turn.calls:
                yield CallStarted(call)
            replies = list(turn.invalid)
            for reply in turn.invalid:
                yield CallDone(reply)
            async with aclosing(self._carry_out(turn.calls)) as done:
                async for reply in done:
                    replies.append(reply)
                    yield CallDone(reply)
            conversation.add(replies)

    async def _carry_out(self, calls: Iterable[Call]) -> AsyncGenerator[Reply, None]:
        """Yield the reply to each call as it is done, all of them begun at once.

        Raises:
            Exception: The first that `on_failure` raised, once every call is done.
        """
        tasks = [asyncio.create_task(self._reply(call)) for call in calls]
        raised: list[Exception] = []
        try:
            for task in asyncio.as_completed(tasks):
                try:
                    reply = await task
                except Exception as error:  # noqa: BLE001 - kept until all are done, then raised
                    raised.append(error)
                else:
                    yield reply
        finally:
            await _end(tasks)
        if raised:
            raise raised[0]

    async def _reply(self, call: Call) -> Reply:
        try:
            begun = self._executor.submit(call)
            result = await (asyncio.wrap_future(begun) if isinstance(begun, Future) else begun)
            content = write_result(result)
        except Exception as error:  # noqa: BLE001 - a tool may raise anything; the handler decides
            content = self._on_failure(call, error)
        return Reply(call.index, call.id, content)


class _Here:
    """Runs `async` functions in this event loop, and others in its threads."""

    def submit(self, call: Call, /) -> Awaitable[Any]:
        if call.tool.is_async:
            result: Awaitable[Any] = call()
            return result
        return asyncio.to_thread(call)


async def _end(tasks: Iterable[asyncio.Task[Reply]]) -> None:
    """Cancel what still runs, and return when it has ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
