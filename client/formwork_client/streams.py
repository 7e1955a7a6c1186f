"""Runs that are told as they happen."""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from types import TracebackType
from typing import Generic, Self

from formwork_client.conversation import Conversation
from formwork_client.events import Event
from formwork_client.run import AnswerT, Run


class RunStream(Generic[AnswerT]):
    """The events of a run, in order; nothing happens but while it is iterated."""

    def __init__(
        self, events: Generator[Event, None, None], conversation: Conversation[AnswerT]
    ) -> None:
        self._events = events
        self._conversation = conversation

    def __iter__(self) -> Iterator[Event]:
        return self._events

    def get_final_run(self) -> Run[AnswerT]:
        """Return the run, at its end: what was not iterated yet is passed over."""
        for _ in self._events:
            pass
        return self._conversation.to_run()

    def close(self) -> None:
        """End the run where it is."""
        self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncRunStream(Generic[AnswerT]):
    """The events of a run, in order; nothing happens but while it is iterated."""

    def __init__(
        self, events: AsyncGenerator[Event, None], conversation: Conversation[AnswerT]
    ) -> None:
        self._events = events
        self._conversation = conversation

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._events

    async def get_final_run(self) -> Run[AnswerT]:
        """Return the run, at its end: what was not iterated yet is passed over."""
        async for _ in self._events:
            pass
        return self._conversation.to_run()

    async def close(self) -> None:
        """End the run where it is."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
