"""One stream: messages in, one response per step out."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial

import structlog
from formwork.sampler.v1 import sampler_pb2

from mesh.clock import Clock
from mesh.context import bind_request
from mesh.errors import (
    FormworkError,
    InternalError,
    InvalidArgumentError,
    LimitExceededError,
    ServiceUnavailableError,
)
from sampler_service.accounts import LeaseAccounts
from sampler_service.batch import Batch
from sampler_service.bindings import Wanted, find, get, open_bound, wanted_of
from sampler_service.decode_thread import DecodeThread
from sampler_service.envelopes import Envelopes
from sampler_service.frames import error_frame, to_frame
from sampler_service.indexes import Indexes
from sampler_service.opening_messages import Moment, OpeningLimits, read_opening
from sampler_service.openings import SequenceKey
from sampler_service.outputs import Output
from sampler_service.sequence import TokenRules

log = structlog.get_logger()

_REMEMBERED = 4096  # ended sequences of a stream whose ids are still known


@dataclass(frozen=True)
class StreamServices:
    """What every stream of a worker uses."""

    thread: DecodeThread
    accounts: LeaseAccounts
    indexes: Indexes
    envelopes: Envelopes
    rules: TokenRules
    limits: OpeningLimits
    clock: Clock
    max_sequences: int
    max_backlog: int


@dataclass
class _Live:
    """A sequence of a stream, as far as the stream knows it."""

    constrained: bool
    request_id: str
    traceparent: str
    is_bound: bool = False
    """It was told what to."""
    binding: asyncio.Task[None] | None = None


class DecodeStream:
    """One gateway's stream.

    Args:
        number: Unique on the worker.
        services: Shared.
        refusal: Returns why nothing new is taken, or None.
    """

    def __init__(
        self,
        number: int,
        services: StreamServices,
        refusal: Callable[[], FormworkError | None],
    ) -> None:
        self.number = number
        self._services = services
        self._refusal = refusal
        self._live: dict[int, _Live] = {}
        self._known: dict[int, None] = {}
        self._responses: asyncio.Queue[sampler_pb2.DecodeResponse | None] = asyncio.Queue()
        self._lost: FormworkError | None = None
        self._half_closed = False

    async def responses(self) -> AsyncIterator[sampler_pb2.DecodeResponse]:
        """Yield what there is to send, until the stream is done.

        Raises:
            FormworkError: Why the stream was lost.
        """
        while (response := await self._responses.get()) is not None:
            yield response
        if self._lost is not None:
            raise self._lost

    def handle(self, request: sampler_pb2.DecodeRequest) -> None:
        """Act on one message; what is wrong with it ends its own sequence only."""
        kind = request.WhichOneof("message")
        if kind is None:
            return
        message = getattr(request, kind)
        actions: dict[str, Callable[..., None]] = {
            "open": self._open,
            "bind": self._bind,
            "abort": self._abort,
            "pause": partial(self._pause, paused=True),
            "resume": partial(self._pause, paused=False),
        }
        try:
            actions[kind](message)
        except FormworkError as error:
            self._refuse(message.sequence_id, error)
        except Exception:  # one message must not end the stream that others share
            log.exception("message_failed", kind=kind)
            self._refuse(message.sequence_id, InternalError("Internal error."))

    def deliver(self, outputs: list[Output]) -> None:
        """Queue what a step made."""
        frames = [to_frame(output, self._services.rules.vocabulary) for output in outputs]
        for output in outputs:
            if output.is_last:
                self._log_end(output)
                self._forget(output.key.sequence)
        self._send(frames)
        self._finish_if_done()

    def half_close(self) -> None:
        """No more messages come: `responses` ends once every sequence has."""
        self._half_closed = True
        self._finish_if_done()

    def lose(self, error: FormworkError) -> None:
        """End the stream with an error, when what is queued has been sent; abort what lives."""
        if self._lost is None:
            self._lost = error
            self.close()
            self._responses.put_nowait(None)

    def close(self) -> None:
        """The stream is gone: abort what lives on it."""
        self._services.accounts.detach(self.number)
        for sequence_id in list(self._live):
            self._services.thread.post(partial(_abort, self._key(sequence_id)))
            self._forget(sequence_id)

    @property
    def live(self) -> int:
        """Sequences that have not ended."""
        return len(self._live)

    # -- messages -------------------------------------------------------------------------------

    def _open(self, message: sampler_pb2.Open) -> None:
        services, sequence_id = self._services, message.sequence_id
        if sequence_id in self._known:
            raise InvalidArgumentError("The sequence id is in use.", field="sequence_id")
        if message.HasField("bind") and not message.constrained:
            raise InvalidArgumentError("The sequence takes no index.", field="bind")
        self._check_open()
        clock = services.clock
        now = Moment(clock.now().timestamp(), clock.monotonic())
        lease = services.accounts.admit(message, now.wall)
        opening = read_opening(message, self._key(sequence_id), lease, services.limits, now)
        services.accounts.open(opening.key, message)
        self._live[sequence_id] = _Live(
            message.constrained, message.request_id, message.traceparent
        )
        self._remember(sequence_id)
        wanted = wanted_of(message.bind) if message.HasField("bind") else None
        index = None if wanted is None else find(wanted, services.indexes, services.envelopes)
        if index is not None:
            self._live[sequence_id].is_bound = True
            services.thread.post(partial(open_bound, opening, index))
            return
        services.thread.post(lambda batch: batch.open(opening))
        if wanted is not None:
            self._bind_live(self._live[sequence_id], opening.key, wanted)

    def _check_open(self) -> None:
        refusal = self._refusal()
        if refusal is not None:
            raise refusal
        if len(self._live) >= self._services.max_sequences:
            raise LimitExceededError(
                "The stream has too many sequences.",
                metadata={
                    "limit": "max_stream_sequences",
                    "maximum": str(self._services.max_sequences),
                    "value": str(len(self._live) + 1),
                },
            )

    def _bind(self, message: sampler_pb2.Bind) -> None:
        live = self._live.get(message.sequence_id)
        if live is None:
            if message.sequence_id not in self._known:
                raise InvalidArgumentError("Bind of an unknown sequence.", field="sequence_id")
            return  # it ended while the message was on its way
        self._bind_live(live, self._key(message.sequence_id), wanted_of(message))

    def _bind_live(self, live: _Live, key: SequenceKey, wanted: Wanted) -> None:
        if not live.constrained or live.is_bound:
            raise InvalidArgumentError("The sequence takes no index.", field="index_id")
        live.is_bound = True
        live.binding = asyncio.create_task(self._bind_when_loaded(live, key, wanted))

    async def _bind_when_loaded(self, live: _Live, key: SequenceKey, wanted: Wanted) -> None:
        thread = self._services.thread
        with bind_request(live.request_id or None, live.traceparent or None):
            try:
                index = await get(wanted, self._services.indexes, self._services.envelopes)
            except FormworkError as error:
                fault = error
                thread.post(lambda batch: batch.fail(key, fault))
            except Exception:
                log.exception("bind_failed")
                thread.post(lambda batch: batch.fail(key, InternalError("Internal error.")))
            else:
                thread.bind(key, index)

    def _abort(self, message: sampler_pb2.Abort) -> None:
        if message.sequence_id in self._live:
            self._services.thread.post(partial(_abort, self._key(message.sequence_id)))

    def _pause(self, message: sampler_pb2.Pause | sampler_pb2.Resume, *, paused: bool) -> None:
        if message.sequence_id in self._live:
            key = self._key(message.sequence_id)
            self._services.thread.post(lambda batch: batch.pause(key, paused=paused))

    # -- helpers --------------------------------------------------------------------------------

    def _refuse(self, sequence_id: int, error: FormworkError) -> None:
        """End a sequence with an error: the live one of that id, where there is one."""
        log.info("sequence_refused", reason=error.reason, message=error.message)
        if sequence_id in self._live:
            key = self._key(sequence_id)
            self._services.thread.post(lambda batch: batch.fail(key, error))
        else:
            self._send([error_frame(sequence_id, error)])

    def _send(self, frames: list[sampler_pb2.Frame]) -> None:
        if self._lost is not None or not frames:
            return
        self._responses.put_nowait(sampler_pb2.DecodeResponse(frames=frames))
        if self._responses.qsize() > self._services.max_backlog:
            log.warning("stream_lost", backlog=self._responses.qsize())
            while not self._responses.empty():
                self._responses.get_nowait()
            self.lose(ServiceUnavailableError("The stream was read too slowly."))

    def _log_end(self, output: Output) -> None:
        """Say once how a sequence ended and where its time went, seconds."""
        live, timings = self._live.get(output.key.sequence), output.timings
        log.info(
            "sequence_ended",
            request_id=live.request_id if live is not None else "",
            finish=output.finish.name if output.finish is not None else "",
            reason=output.error.reason if output.error is not None else "",
            **({name: round(value, 4) for name, value in vars(timings).items()} if timings else {}),
        )

    def _finish_if_done(self) -> None:
        if self._half_closed and not self._live:
            self._responses.put_nowait(None)

    def _forget(self, sequence_id: int) -> None:
        live = self._live.pop(sequence_id, None)
        if live is not None and live.binding is not None:
            live.binding.cancel()

    def _remember(self, sequence_id: int) -> None:
        self._known[sequence_id] = None
        if len(self._known) > _REMEMBERED + len(self._live):
            ended = next(known for known in self._known if known not in self._live)
            del self._known[ended]

    def _key(self, sequence_id: int) -> SequenceKey:
        return SequenceKey(self.number, sequence_id)


def _abort(key: SequenceKey, batch: Batch) -> None:
    batch.abort(key)
