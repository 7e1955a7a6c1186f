"""One choice of an answer, as its frames tell it."""

import secrets
import string
from dataclasses import dataclass, field
from typing import Any

from formwork.sampler.v1.sampler_pb2 import Frame

from gateway.answer_events import CallBegun, CallInput, Channel, Event, Said
from gateway.generation import Job
from gateway.stops import StopReader
from gateway.tools import ToolKind
from gateway.wire import finish_reason, is_refusal, logprob_objects

_LETTERS = string.ascii_letters + string.digits
_SHORT_ID = 9
_LONG_ID = 24


@dataclass
class Call:
    """A call of a tool; its input is JSON for a function."""

    id: str
    name: str
    kind: ToolKind
    written: list[str] = field(default_factory=list)

    @property
    def input(self) -> str:
        """What was written so far."""
        return "".join(self.written)

    def to_object(self) -> dict[str, Any]:
        """Return OpenAI's object."""
        key = "arguments" if self.kind is ToolKind.FUNCTION else "input"
        inner = {"name": self.name, key: self.input}
        return {"id": self.id, "type": str(self.kind), str(self.kind): inner}


@dataclass
class Step:
    """What one frame has added to a choice."""

    events: list[Event]
    channel: Channel | None
    """Where the frame's tokens belong; None: to a call, or to what stands around it."""
    logprobs: list[dict[str, Any]]


class Choice:
    """What one choice has said so far.

    Args:
        job: Of the request.
    """

    def __init__(self, job: Job) -> None:
        self._model = job.model
        self._reader = job.reader()
        self._stops = StopReader(job.request.stop)
        self._wants_logprobs = job.request.logprobs
        self._short_ids = job.model.form.short_call_ids
        self.texts: dict[Channel, list[str]] = {channel: [] for channel in Channel}
        self.logprobs: dict[Channel, list[dict[str, Any]]] = {channel: [] for channel in Channel}
        self.calls: list[Call] = []
        self.reasoning_tokens = 0
        self.finish: str | None = None
        self.is_refused = False
        """The model refused, in words or without any."""

    @property
    def has_stopped(self) -> bool:
        """A stop string has ended it; its sequence knows nothing of that."""
        return self._stops.has_stopped

    def take(self, frame: Frame) -> Step:
        """Take a frame in.

        Raises:
            InternalError: The answer is not in the model's chat format.
        """
        if is_refusal(frame):
            self.is_refused = True
            events: list[Event] = [Said(Channel.REFUSAL, frame.text)] if frame.text else []
            channel: Channel | None = Channel.REFUSAL
        else:
            before = self._reader.channel
            events = self._reader.feed(self._model.text_of(frame))
            if frame.finish:
                events += self._reader.finish()
            events = self._stops.read(events, is_last=bool(frame.finish))
            has_left = self._reader.channel is None  # for a call: what opens it is no content
            said = (event.channel for event in events if isinstance(event, Said))
            channel = next(said, None if has_left else before)
        for event in events:
            self._record(event)
        if channel is Channel.REASONING:
            self.reasoning_tokens += frame.tokens
        if self.has_stopped:
            self.finish = "stop"
        elif frame.finish:
            self.finish = self._finish(finish_reason(frame))
        return Step(events, channel, self._logprobs(frame, channel))

    def text(self, channel: Channel) -> str | None:
        """Return the text of a channel; None where nothing was said in it."""
        return "".join(self.texts[channel]) or None

    def _record(self, event: Event) -> None:
        match event:
            case Said(channel, text):
                self.texts[channel].append(text)
            case CallBegun(_, name, kind):
                self.calls.append(Call(_new_id(short=self._short_ids), name, kind))
            case CallInput(call, text):
                self.calls[call].written.append(text)

    def _logprobs(self, frame: Frame, channel: Channel | None) -> list[dict[str, Any]]:
        if not self._wants_logprobs or channel is None:
            return []
        objects = logprob_objects(frame, self._model.token_names)
        self.logprobs[channel] += objects
        return objects

    def _finish(self, reason: str | None) -> str | None:
        return "tool_calls" if reason == "stop" and self.calls else reason


def _new_id(*, short: bool) -> str:
    letters = (secrets.choice(_LETTERS) for _ in range(_SHORT_ID if short else _LONG_ID))
    return "".join(letters) if short else "call_" + "".join(letters)
