"""What a run asks next, and what an answer means; nothing here touches the network or a tool."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic

from openai.types.chat import ChatCompletion, ChatCompletionMessage
from openai.types.chat.completion_create_params import ResponseFormat

from formwork_client.calls import Call, Reply
from formwork_client.errors import CutOffError, InvalidCallError, TurnLimitError
from formwork_client.messages import Question, read_question, write_message
from formwork_client.parameters import relax_choice, write_format
from formwork_client.run import AnswerT, Run
from formwork_client.toolbox import Toolbox
from formwork_client.turn import Turn

_WHOLE = ("stop", "tool_calls")


@dataclass(frozen=True)
class Turns:
    """How many answers a run may ask for, and what the last one is like."""

    limit: int
    must_answer: bool
    """Whether the last turn has no tools to call."""


class Conversation(Generic[AnswerT]):
    """The state of a run.

    Args:
        toolbox: The tools.
        turns: How many answers may be asked for.
        question: A user's message, or the messages so far.
        response_format: What the answer is like: a class to parse it with, or what the API takes.
        parameters: The rest of each request.
    """

    def __init__(
        self,
        toolbox: Toolbox,
        turns: Turns,
        question: Question,
        response_format: type[AnswerT] | ResponseFormat | None,
        parameters: Mapping[str, object],
    ) -> None:
        self._toolbox = toolbox
        self._messages = read_question(question)
        self._format = response_format
        self._turns = turns
        self._fixed = {**parameters, **write_format(self._format)}
        self._completions: list[ChatCompletion] = []
        self._parsed: AnswerT | None = None
        self.is_over = False
        """Whether the answer is there."""

    def write_request(self, *, stream: bool = False) -> dict[str, Any]:
        """Return the keyword arguments of the next `chat.completions.create`."""
        request: dict[str, Any] = {**self._fixed, "messages": list(self._messages)}
        if stream:
            request |= {"stream": True, "stream_options": {"include_usage": True}}
        if self._toolbox.params:
            request["tools"] = self._toolbox.params
        if self._completions and "tool_choice" in request:
            request["tool_choice"] = relax_choice(request["tool_choice"])
        if self._turns.must_answer and len(self._completions) == self._turns.limit - 1:
            request["tool_choice"] = "none"
        return request

    def accept(self, completion: ChatCompletion | None) -> Turn:
        """Take an answer in, and return its turn; without calls if it is the last.

        Raises:
            CutOffError: It is not whole, or there is none.
            pydantic.ValidationError: It does not fit the response format, which the API promised.
        """
        if completion is None or not completion.choices:
            raise CutOffError(None, self.to_run())
        self._completions.append(completion)
        choice = completion.choices[0]
        self._messages.append(write_message(choice.message))
        if choice.finish_reason not in _WHOLE:
            raise CutOffError(choice.finish_reason, self.to_run())
        if not choice.message.tool_calls:
            self._parsed = self._parse(choice.message)
            self.is_over = True
        return self._read_turn(completion)

    def finish(self, turn: Turn) -> None:
        """Take in what is said to all calls of the last answer.

        Raises:
            TurnLimitError: There may be no further turn.
        """
        self._messages += [reply.param for reply in turn.replies]
        if not self.is_over and len(self._completions) >= self._turns.limit:
            raise TurnLimitError(self._turns.limit, self.to_run())

    def to_run(self) -> Run[AnswerT]:
        """Return the run so far."""
        return Run(list(self._messages), list(self._completions), self._parsed)

    def _read_turn(self, completion: ChatCompletion) -> Turn:
        calls: list[Call] = []
        invalid: list[Reply] = []
        asked_for = completion.choices[0].message.tool_calls or []
        for index, asked in enumerate(asked_for):
            try:
                calls.append(self._toolbox.get_call(index, asked))
            except InvalidCallError as error:
                invalid.append(Reply(index, asked.id, str(error)))
        return Turn(completion, tuple(calls), tuple(invalid))

    def _parse(self, message: ChatCompletionMessage) -> AnswerT | None:
        if not isinstance(self._format, type) or not message.content or message.refusal:
            return None
        return self._format.model_validate_json(message.content)
