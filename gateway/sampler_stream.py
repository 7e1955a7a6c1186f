"""One multiplexed Decode stream for each worker, shared by every request of this gateway."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import count, repeat

import grpc
import grpc.aio
import structlog
from formwork.sampler.v1.sampler_pb2 import Bind, DecodeRequest, DecodeResponse, Frame, Open
from formwork.sampler.v1.sampler_pb2_grpc import SamplerServiceStub
from google.rpc.status_pb2 import Status

from gateway.config import GatewayConfig
from gateway.errors import OverloadedError
from gateway.sequences import SequenceGroup
from mesh.channels import Caller, open_channel
from mesh.config import MeshConfig
from mesh.errors import (
    FormworkError,
    InternalError,
    InvalidArgumentError,
    LeaseInvalidError,
    LimitExceededError,
    WorkerLostError,
    from_status,
)

log = structlog.get_logger()


class WorkerStream:
    """An open stream to one worker; it ends once, with all its sequences.

    Only the request iterator writes to the call: concurrent writes on one call fail.

    Args:
        address: `host:port` of the worker.
        mesh: Message bounds.
        caller: Gives the call its metadata.
        config: Marks at which a worker is paused.
    """

    def __init__(
        self, address: str, mesh: MeshConfig, caller: Caller, config: GatewayConfig
    ) -> None:
        self._address = address
        self._config = config
        # Bounded by max_in_flight: a sequence has one Open, one Bind, one Abort, and as many pauses
        # as it has high-water marks.
        self._outgoing: asyncio.Queue[DecodeRequest] = asyncio.Queue()
        self._ids = count(1)
        self._groups: dict[int, SequenceGroup] = {}
        self._channel = open_channel(address, mesh)
        self._call = SamplerServiceStub(self._channel).Decode(
            self._requests(), metadata=caller.metadata()
        )
        self._reader = asyncio.create_task(self._read())
        self.is_closed = False

    def open(self, opens: Sequence[Open], bind: Bind | None = None) -> SequenceGroup:
        """Open a sequence for each message, whose `sequence_id` is filled in here; never waits.

        Args:
            opens: One for each choice.
            bind: What all of them are bound to, where that is known; what is sent of indexes comes
                with the first.
        """
        for message in opens:
            message.sequence_id = next(self._ids)
        if bind is not None:
            for message, own in zip(opens, _shared_out(bind), strict=False):
                message.bind.CopyFrom(own)
                message.bind.sequence_id = message.sequence_id
        group = SequenceGroup(
            [message.sequence_id for message in opens],
            self._outgoing.put_nowait,
            self._drop,
            pause_frames=self._config.pause_frames,
            resume_frames=self._config.resume_frames,
        )
        if self.is_closed:
            group.fail(self._lost())
            return group
        for message in opens:
            self._groups[message.sequence_id] = group
            self._outgoing.put_nowait(DecodeRequest(open=message))
        return group

    def bind(self, group: SequenceGroup, bind: Bind) -> None:
        """Bind every sequence of a group; the first brings what is sent of indexes for all."""
        for sequence_id, own in zip(group.ids, _shared_out(bind), strict=False):
            message = DecodeRequest(bind=own)
            message.bind.sequence_id = sequence_id
            self._outgoing.put_nowait(message)

    async def close(self) -> None:
        """End the stream, which aborts its sequences, and close the connection."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        self._fail_all()
        await self._channel.close(None)

    async def wait_closed(self) -> None:
        """Return once the stream has ended by itself or was closed."""
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._channel.close(None)

    async def _requests(self) -> AsyncIterator[DecodeRequest]:
        while True:
            yield await self._outgoing.get()

    async def _read(self) -> None:
        try:
            async for response in self._call:
                self._dispatch(response)
            log.warning("worker_stream_ended", worker_address=self._address)
        except grpc.aio.AioRpcError as error:
            log.warning(
                "worker_stream_lost",
                worker_address=self._address,
                code=error.code().name,
                details=error.details(),
            )
        finally:
            self._fail_all()
            self._call.cancel()

    def _dispatch(self, response: DecodeResponse) -> None:
        for frame in response.frames:
            group = self._groups.get(frame.sequence_id)
            if group is None:
                continue  # of a sequence that was aborted a moment ago
            if frame.HasField("error"):
                self._fail(group, frame)
            else:
                group.push(frame)

    def _fail(self, group: SequenceGroup, frame: Frame) -> None:
        status = Status()
        status.ParseFromString(frame.error.status)
        error = from_status(status)
        log.warning(
            "sequence_failed",
            worker_address=self._address,
            reason=error.reason,
            message=error.message,
        )
        group.fail(_as_ours(error))

    def _fail_all(self) -> None:
        self.is_closed = True
        for group in set(self._groups.values()):
            group.fail(self._lost())

    def _drop(self, group: SequenceGroup) -> None:
        for sequence_id in group.ids:
            self._groups.pop(sequence_id, None)

    def _lost(self) -> WorkerLostError:
        return WorkerLostError("The worker went away.", metadata={"worker_address": self._address})


def _shared_out(bind: Bind) -> Iterator[Bind]:
    """Yield what the first sequence of a group is told, then what every other one is."""
    yield bind
    yield from repeat(_names_alone(bind))


def _names_alone(bind: Bind) -> Bind:
    """Return a bind that names its indexes, and brings nothing of them."""
    names = Bind()
    names.CopyFrom(bind)
    parts = names.envelope.parts if names.HasField("envelope") else ()
    for message in (names, *parts):
        message.ClearField("canonical_grammar")
        message.ClearField("inline_index")
    return names


def _as_ours(error: FormworkError) -> FormworkError:
    """Return a worker's error as the client may be told: what the gateway let pass is our fault."""
    if isinstance(error, LimitExceededError):
        return OverloadedError("The worker has as many sequences as it takes.")
    if isinstance(error, LeaseInvalidError):  # it expired on its way
        return WorkerLostError("The worker did not take the lease.")
    if isinstance(error, InvalidArgumentError):
        return InternalError(error.message)
    return error


class WorkerStreams:
    """The streams by worker address: opened when first wanted, replaced when lost."""

    def __init__(self, mesh: MeshConfig, caller: Caller, config: GatewayConfig) -> None:
        self._mesh = mesh
        self._caller = caller
        self._config = config
        self._streams: dict[str, WorkerStream] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def to(self, address: str) -> WorkerStream:
        """Return the live stream to a worker."""
        stream = self._streams.get(address)
        if stream is None or stream.is_closed:
            stream = WorkerStream(address, self._mesh, self._caller, self._config)
            self._streams[address] = stream
            self._own(stream)
        return stream

    async def close(self) -> None:
        """End every stream."""
        await asyncio.gather(*(stream.close() for stream in list(self._streams.values())))
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _own(self, stream: WorkerStream) -> None:
        """Close the connection of a stream that ends by itself, and forget it."""

        async def release() -> None:
            await stream.wait_closed()
            for address, held in list(self._streams.items()):
                if held is stream:
                    del self._streams[address]

        task = asyncio.create_task(release())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
