"""A streamed answer, put together."""

from collections.abc import Iterable

from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from formwork_client.events import AnswerEvent


class Snapshot:
    """What has come of one streamed answer.

    The client's own state accumulates it. It is told neither tools nor format: with them it raises
    errors of its own at an answer that was cut off, and the loop parses answers itself.
    """

    def __init__(self) -> None:
        self._state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
        self._has_begun = False

    def add(self, chunk: ChatCompletionChunk) -> Iterable[AnswerEvent]:
        """Take a chunk in, and return the events that it causes."""
        self._has_begun = True
        return self._state.handle_chunk(chunk)

    def find_completion(self) -> ChatCompletion | None:
        """Return the answer as it would have come in one piece; None if nothing has come."""
        return self._state.current_completion_snapshot if self._has_begun else None
