"""One answer, what it asks for, and what came of that; nothing here waits for anything."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from openai.types.chat import ChatCompletion

from formwork_client.calls import Call, Reply, write_result
from formwork_client.events import CallDone, CallStarted, Event, TurnDone
from formwork_client.failures import FailureHandler


class Done(Protocol):
    """A future that is done: a thread's or an event loop's."""

    def result(self) -> Any:  # noqa: ANN401 - what a tool returned
        """Return the result, or raise what the call raised."""


FutureT = TypeVar("FutureT", bound=Done)


@dataclass(frozen=True)
class Turn:
    """What one answer asks for, and what was replied so far."""

    completion: ChatCompletion
    calls: tuple[Call, ...]
    """To carry out, in the model's order."""
    invalid: tuple[Reply, ...]
    """What is said to the calls that cannot be carried out."""
    _done: list[Reply] = field(default_factory=list)

    def begin(self) -> Iterator[Event]:
        """Yield what a stream tells before the first call is done."""
        yield TurnDone(self.completion)
        yield from map(CallStarted, self.calls)
        yield from map(CallDone, self.invalid)

    def add(self, reply: Reply) -> CallDone:
        """Take in what is said to a call, and return the event of it."""
        self._done.append(reply)
        return CallDone(reply)

    @property
    def replies(self) -> list[Reply]:
        """All that is said, in the order of the calls."""
        return sorted([*self.invalid, *self._done], key=lambda reply: reply.index)


class Work(Generic[FutureT]):
    """The calls of a turn that are under way, all of them begun at once.

    Args:
        calls: By what will hold their results.
        on_failure: What is said where a tool raised.
    """

    def __init__(self, calls: Mapping[FutureT, Call], on_failure: FailureHandler) -> None:
        self.calls = calls
        self._on_failure = on_failure
        self._raised: list[Exception] = []

    def settle(self, done: FutureT) -> Iterable[Reply]:
        """Return the reply to a call that is done; nothing where `on_failure` raised."""
        call = self.calls[done]
        try:
            return [Reply(call.index, call.id, self._content(call, done))]
        except Exception as error:  # noqa: BLE001 - kept until every call is done, then raised
            self._raised.append(error)
            return []

    def end(self) -> None:
        """Return once every call is done and settled.

        Raises:
            Exception: The first that `on_failure` raised.
        """
        if self._raised:
            raise self._raised[0]

    def _content(self, call: Call, done: FutureT) -> str:
        try:
            return write_result(done.result())
        except Exception as error:  # noqa: BLE001 - a tool may raise anything; the handler decides
            return self._on_failure(call, error)
