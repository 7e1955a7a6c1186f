"""A running generation: its frames, tried again elsewhere while nothing was sent, settled once."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

import structlog
from formwork.sampler.v1.sampler_pb2 import FINISH_ABORTED, Frame, Timings
from formwork.scheduler.v1.scheduler_pb2 import (
    OUTCOME_CANCELLED,
    OUTCOME_COMPLETED,
    OUTCOME_FAILED,
    Outcome,
    TokenCounts,
)

from gateway.answer_checks import AnswerChecks
from gateway.answer_reader import AnswerReader
from gateway.chat_model import ChatModel
from gateway.constraint import Constraint
from gateway.errors import OverloadedError
from gateway.metrics import Metrics
from gateway.placement import Place, Placement
from gateway.plan import Plan
from gateway.request import ChatRequest
from gateway.sampler_stream import WorkerStream
from gateway.sequences import SequenceGroup
from mesh.errors import (
    DrainingError,
    FormworkError,
    IndexNotFoundError,
    QueueFullError,
    ServiceUnavailableError,
    WorkerLostError,
)
from mesh.models import ModelEntry

log = structlog.get_logger()

# Errors of a worker that another worker may well not have.
_WORTH_ANOTHER_PLACE = (
    DrainingError,
    IndexNotFoundError,
    OverloadedError,
    QueueFullError,
    ServiceUnavailableError,
    WorkerLostError,
)


@dataclass(frozen=True)
class Opened:
    """A place, and the sequences that were opened on its worker's stream."""

    place: Place
    stream: WorkerStream
    group: SequenceGroup
    is_bound: bool = False
    """They were opened with what constrains them."""

    def bind(self, constraint: Constraint) -> None:
        """Bind the sequences to what constrains them."""
        self.stream.bind(self.group, constraint.bind)


@dataclass
class Spent:
    """Where a request's time went, seconds.

    A worker tells the last two with a sequence's last frame: None where none has come, because the
    client left, or a stop string ended it here.
    """

    queue: float = 0.0
    compile: float = 0.0
    prefill: float | None = None
    decode: float | None = None

    def note(self, timings: Timings) -> None:
        """Take in what the worker measured for a sequence; the slowest choice counts."""
        self.prefill = max(self.prefill or 0.0, timings.prefill / 1e6)
        self.decode = max(self.decode or 0.0, timings.decode / 1e6)

    def milliseconds(self) -> dict[str, float]:
        """Return what is known of it, by stage."""
        known = {name: seconds for name, seconds in vars(self).items() if seconds is not None}
        return {name: round(seconds * 1000, 1) for name, seconds in known.items()}

    def header(self) -> str:
        """Return it as the value of a Server-Timing header, in milliseconds."""
        return ", ".join(f"{name};dur={spent:.1f}" for name, spent in self.milliseconds().items())


@dataclass(frozen=True)
class Job:
    """What stays the same over every attempt of a request."""

    completion_id: str
    created: int
    request: ChatRequest
    snapshot: str
    entry: ModelEntry
    plan: Plan
    checks: AnswerChecks
    model: ChatModel
    system_fingerprint: str

    def reader(self) -> AnswerReader:
        """Return the reader of one choice."""
        is_structured = self.request.format.is_structured
        return self.model.reader(self.request.tool_use, is_structured=is_structured)


class Attempts(Protocol):
    """Gets a request going again after its worker was lost."""

    async def reopen(self, place: Place) -> Opened:
        """Return sequences on another place of the same lease."""

    async def rebind(self, opened: Opened, error: FormworkError) -> None:
        """Bind them to the index, ensured anew where the error says that it was not found."""


@dataclass
class Generation:
    """Frames of one request, whatever happens to its workers.

    Args:
        job: What is being made.
        opened: The first attempt.
        attempts: Get another place after an error.
        placement: Settles.
        metrics: Counts.
        max_attempts: Places tried in all.
    """

    job: Job
    opened: Opened
    attempts: Attempts
    placement: Placement
    metrics: Metrics
    max_attempts: int
    spent: Spent = field(default_factory=Spent)
    attempt: int = 1
    outcome: "Outcome.ValueType" = OUTCOME_CANCELLED
    is_promised: bool = False
    """Status 200 was sent: who leaves now pays for the prompt."""
    _is_closed: bool = False
    _has_sent: bool = False

    async def frames(self) -> AsyncIterator[tuple[int, Frame] | None]:
        """Yield frames with their choice; None means: start over, an earlier attempt was lost.

        Raises:
            FormworkError: Why it ended early.
        """
        while True:
            try:
                async for choice, frame in self.opened.group.frames():
                    self._check(frame)
                    # What goes into a stream is sent at once; other answers only at the end.
                    self._has_sent = self._has_sent or self.job.request.stream
                    yield choice, frame
            except _WORTH_ANOTHER_PLACE as error:
                await self._start_over(error)
                yield None
            else:
                return

    def stop(self, choice: int) -> None:
        """End one choice here: a stop string was found in what its sequence goes on with."""
        self.opened.group.stop(choice)

    @property
    def usage(self) -> TokenCounts:
        """Tokens of the attempt that counts: those in frames that arrived.

        A prompt is charged once a frame arrived, or the client left a stream that was promised to
        it; what failed before its first frame, by a fault of ours, is free.
        """
        group = self.opened.group
        is_left = self.is_promised and self.outcome == OUTCOME_CANCELLED
        return TokenCounts(
            prompt_tokens=len(self.job.plan.prompt) if group.has_begun or is_left else 0,
            cached_prompt_tokens=group.cached_prompt_tokens,
            completion_tokens=group.accepted_tokens,
        )

    def complete(self) -> None:
        """Settle as completed."""
        self.outcome = OUTCOME_COMPLETED
        self.close()

    def fail(self) -> None:
        """Settle as failed by a fault of ours."""
        self.outcome = OUTCOME_FAILED
        self.close()

    def close(self) -> None:
        """Stop what still runs and settle, exactly once; as cancelled unless told otherwise."""
        if self._is_closed:
            return
        self._is_closed = True
        self.opened.group.abort()
        usage = self.usage
        self.placement.settle(self.opened.place, usage, self.outcome)
        self.metrics.prompt_tokens.inc(usage.prompt_tokens)
        self.metrics.completion_tokens.inc(usage.completion_tokens)

    async def _start_over(self, error: FormworkError) -> None:
        if self._has_sent or self.attempt >= self.max_attempts:
            raise error
        log.warning("attempt_repeated", attempt=self.attempt, reason=error.reason)
        self.metrics.attempts_repeated.inc()
        self.attempt += 1
        self.opened.group.abort()
        self.opened = await self.attempts.reopen(self.opened.place)
        self.spent.queue += self.opened.place.queued_seconds
        await self.attempts.rebind(self.opened, error)

    def _check(self, frame: Frame) -> None:
        if frame.HasField("timings"):
            self.spent.note(frame.timings)
        if frame.finish == FINISH_ABORTED:
            raise WorkerLostError("The worker stopped the sequence.")
