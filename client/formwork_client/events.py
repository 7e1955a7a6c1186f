"""What a streamed run tells: the client's own events of each answer, and those of the loop."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from openai.lib.streaming.chat import ChatCompletionStreamEvent
from openai.types.chat import ChatCompletion

from formwork_client.calls import Call, Reply


@dataclass(frozen=True)
class CallStarted:
    """A call is being carried out."""

    call: Call
    type: Literal["call.started"] = "call.started"


@dataclass(frozen=True)
class CallDone:
    """A call has its result; calls of one turn may be done in any order."""

    reply: Reply
    """What the model is told; of an invalid call, what is wrong with it."""
    type: Literal["call.done"] = "call.done"


@dataclass(frozen=True)
class TurnDone:
    """An answer is whole; its calls come next, if it has any."""

    completion: ChatCompletion
    type: Literal["turn.done"] = "turn.done"


if TYPE_CHECKING:
    AnswerEvent: TypeAlias = ChatCompletionStreamEvent[Any]
else:
    AnswerEvent = ChatCompletionStreamEvent  # which is generic for type checkers alone

Event: TypeAlias = AnswerEvent | CallStarted | CallDone | TurnDone
