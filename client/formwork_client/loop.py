"""The loop over an `openai.OpenAI`."""

import contextvars
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any

import openai
from openai.types.chat.completion_create_params import ResponseFormat
from typing_extensions import Unpack

from formwork_client.any_loop import AnyLoop
from formwork_client.calls import Call, Executor, Reply
from formwork_client.conversation import Conversation
from formwork_client.events import Event
from formwork_client.failures import FailureHandler
from formwork_client.messages import Question
from formwork_client.parameters import Parameters
from formwork_client.run import AnswerT, Run
from formwork_client.snapshot import Snapshot
from formwork_client.streams import RunStream
from formwork_client.tools import AnyTool
from formwork_client.turn import Work

_THREADS = 16


class ToolLoop(AnyLoop[openai.OpenAI, Executor]):
    """Asks a model, carries out what it calls, and asks again, until it answers.

    Args:
        client: The official client; its retries and timeouts hold for each request.
        tools: Functions made with `tool`.
        max_turns: How many answers a run may ask for.
        must_answer: Whether tools are switched off in the last turn, so that it cannot be a call.
        executor: Where calls are carried out; else in threads of the run's own. Those of one turn
            run at the same time.
        on_failure: What the model is told when a tool fails; `raise_failure` ends the run instead.

    Raises:
        TypeError: A tool is `async`, and would run here.
        ValueError: Two tools have the same name.
    """

    def _check(self, tool: AnyTool) -> None:
        if tool.is_async and self._executor is None:
            raise TypeError(f"{tool.name} is async: it needs an AsyncToolLoop")

    def run(
        self,
        question: Question,
        *,
        model: str,
        response_format: type[AnswerT] | ResponseFormat | None = None,
        **parameters: Unpack[Parameters],
    ) -> Run[AnswerT]:
        """Return the run once the model has answered.

        Args:
            question: A user's message, or the messages so far.
            model: Snapshot or alias.
            response_format: A class that the answer is parsed with, or what the API takes.
            **parameters: Of each request. A `tool_choice` that demands a call does so once.

        Raises:
            TurnLimitError: The model still called in its last turn.
            CutOffError: An answer is not whole.
            openai.OpenAIError: A request failed.
        """
        conversation = self._begin(question, model, response_format, parameters)
        with self._open_executor() as executor:
            while not conversation.is_over:
                request = conversation.write_request()
                turn = conversation.accept(self._client.chat.completions.create(**request))
                for reply in carry_out(turn.calls, executor, self._on_failure):
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
    ) -> RunStream[AnswerT]:
        """Return the run as it happens; takes what `run` takes, and raises it when iterated.

        Used with `with`, it ends its connection also when it is not read to the end.

        Raises:
            ValueError: A tool takes a text; its calls cannot be streamed.
        """
        conversation = self._begin(question, model, response_format, parameters, stream=True)
        return RunStream(self._tell(conversation), conversation)

    def _tell(self, conversation: Conversation[Any]) -> Generator[Event, None, None]:
        with self._open_executor() as executor:
            while not conversation.is_over:
                snapshot, request = Snapshot(), conversation.write_request(stream=True)
                with self._client.chat.completions.create(**request) as chunks:
                    for chunk in chunks:
                        yield from snapshot.add(chunk)
                turn = conversation.accept(snapshot.find_completion())
                yield from turn.begin()
                for reply in carry_out(turn.calls, executor, self._on_failure):
                    yield turn.add(reply)
                conversation.finish(turn)

    @contextmanager
    def _open_executor(self) -> Iterator[Executor]:
        if self._executor is not None:
            yield self._executor
            return
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="formwork-tool") as pool:
            yield _Threads(pool)


class _Threads:
    """Threads that see the context variables of whoever begins the call."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    def submit(self, call: Call, /) -> Future[Any]:
        return self._pool.submit(contextvars.copy_context().run, call)


def carry_out(
    calls: Iterable[Call], executor: Executor, on_failure: FailureHandler
) -> Iterator[Reply]:
    """Yield the reply to each call as it is done, all of them begun at once.

    Raises:
        Exception: The first that `on_failure` raised, once every call is done.
    """
    work = Work({_submit(call, executor): call for call in calls}, on_failure)
    for future in as_completed(work.calls):
        yield from work.settle(future)
    work.end()


def _submit(call: Call, executor: Executor) -> Future[Any]:
    try:
        return executor.submit(call)
    except Exception as error:  # noqa: BLE001 - a call that cannot begin has failed like one that did
        failed: Future[Any] = Future()
        failed.set_exception(error)
        return failed
