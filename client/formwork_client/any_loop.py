"""What both loops are told, and how a run of either begins."""

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

import openai
from openai.types.chat.completion_create_params import ResponseFormat

from formwork_client.calls import AsyncExecutor
from formwork_client.conversation import Conversation, Turns
from formwork_client.failures import FailureHandler, describe_failure
from formwork_client.messages import Question
from formwork_client.run import AnswerT
from formwork_client.toolbox import Toolbox
from formwork_client.tools import AnyTool

ClientT = TypeVar("ClientT", bound=openai.OpenAI | openai.AsyncOpenAI)
ExecutorT = TypeVar("ExecutorT", bound=AsyncExecutor)  # which every Executor is


class AnyLoop(Generic[ClientT, ExecutorT]):
    """Client, tools and bounds of a loop; `ToolLoop` and `AsyncToolLoop` say what each is."""

    def __init__(  # noqa: PLR0913 - each is one thing that a loop can be told
        self,
        client: ClientT,
        tools: Iterable[AnyTool],
        *,
        max_turns: int = 10,
        must_answer: bool = False,
        executor: ExecutorT | None = None,
        on_failure: FailureHandler = describe_failure,
    ) -> None:
        self._client = client
        self._toolbox = Toolbox(tools)
        self._turns = Turns(max_turns, must_answer)
        self._executor = executor
        self._on_failure = on_failure
        for tool in self._toolbox:
            self._check(tool)

    def _check(self, tool: AnyTool) -> None:
        """Raise TypeError where this loop cannot run a tool."""

    def _begin(
        self,
        question: Question,
        model: str,
        response_format: type[AnswerT] | ResponseFormat | None,
        parameters: Mapping[str, object],
        *,
        stream: bool = False,
    ) -> Conversation[AnswerT]:
        if stream:
            self._toolbox.check_streamable()
        ask = {**parameters, "model": model}
        return Conversation[AnswerT](self._toolbox, self._turns, question, response_format, ask)
