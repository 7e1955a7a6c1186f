"""The loop over an `openai.AsyncOpenAI`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterable
from concurrent.futures import Future
from contextlib import aclosing
from typing import Any, TypeAlias

import openai
from openai.types.chat.completion_create_params import ResponseFormat
from typing_extensions import Unpack

from formwork_client.any_loop import AnyLoop
from formwork_client.calls import AsyncExecutor, Call, Reply
from formwork_client.conversation import Conversation
from formwork_client.events import Event
from formwork_client.messages import Question
from formwork_client.parameters import Parameters
from formwork_client.run import AnswerT, Run
from formwork_client.snapshot import Snapshot
from formwork_client.streams import AsyncRunStream
from formwork_client.turn import Work

Task: TypeAlias = asyncio.Task[Any]


class AsyncToolLoop(AnyLoop[openai.AsyncOpenAI, AsyncExecutor]):
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
        conversation = self._begin(question, model, response_format, parameters)
        while not conversation.is_over:
            request = conversation.write_request()
            turn = conversation.accept(await self._client.chat.completions.create(**request))
            async for reply in self._carry_out(turn.calls):
                turn.add(reply)
            conversation.finish(turn)
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
        conversation = self._begin(question, model, response_format, parameters, stream=True)
        return AsyncRunStream(self._tell(conversation), conversation)

    async def _tell(self, conversation: Conversation[Any]) -> AsyncGenerator[Event, None]:
        while not conversation.is_over:
            snapshot, request = Snapshot(), conversation.write_request(stream=True)
            async with await self._client.chat.completions.create(**request) as chunks:
                async for chunk in chunks:
                    for part in snapshot.add(chunk):
                        yield part
            turn = conversation.accept(snapshot.find_completion())
            for event in turn.begin():
                yield event
            async with aclosing(self._carry_out(turn.calls)) as replies:
                async for reply in replies:
                    yield turn.add(reply)
            conversation.finish(turn)

    async def _carry_out(self, calls: Iterable[Call]) -> AsyncGenerator[Reply, None]:
        """Yield the reply to each call as it is done, all of them begun at once.

        Raises:
            Exception: The first that `on_failure` raised, once every call is done.
        """
        work = Work(
            {asyncio.create_task(self._result(call)): call for call in calls}, self._on_failure
        )
        try:
            async for task in _as_completed(work.calls):
                for reply in work.settle(task):
                    yield reply
        finally:
            await _end(work.calls)
        work.end()

    async def _result(self, call: Call) -> Any:  # noqa: ANN401 - what a tool returned
        begun = (self._executor or _Here()).submit(call)
        return await (asyncio.wrap_future(begun) if isinstance(begun, Future) else begun)


class _Here:
    """Runs `async` functions in this event loop, and others in its threads."""

    def submit(self, call: Call, /) -> Awaitable[Any]:
        if call.tool.is_async:
            result: Awaitable[Any] = call()
            return result
        return asyncio.to_thread(call)


async def _as_completed(tasks: Iterable[Task]) -> AsyncIterator[Task]:
    """Yield each task when it is done; the one of the standard library yields others."""
    pending = list(tasks)
    while pending:
        await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in [task for task in pending if task.done()]:
            pending.remove(task)
            yield task


async def _end(tasks: Iterable[Task]) -> None:
    """Cancel what still runs, and return when it has ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
