"""Doubles of the services that a worker calls, and the other end of its stream, for tests."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
from formwork.compiler.v1.compiler_pb2 import (
    FetchIndexesRequest,
    FetchIndexesResponse,
    FetchIndexRequest,
    FetchIndexResponse,
)
from formwork.compiler.v1.compiler_pb2_grpc import CompilerServiceServicer
from formwork.sampler.v1 import sampler_pb2
from formwork.sampler.v1.sampler_pb2_grpc import SamplerServiceStub
from formwork.scheduler.v1.scheduler_pb2 import (
    RenewRequest,
    RenewResponse,
    ReportRequest,
    ReportResponse,
    SignedLease,
)
from formwork.scheduler.v1.scheduler_pb2_grpc import SchedulerServiceServicer
from google.rpc import status_pb2

from mesh.channels import Caller
from mesh.errors import (
    FormworkError,
    IndexNotFoundError,
    ServiceUnavailableError,
    from_status,
    to_status,
)
from mesh.leases import read_lease
from sampler_service.batch import Batch
from sampler_service.openings import SequenceKey
from sampler_service.outputs import Output
from sampler_service.runner import KvBlock, Logits, Masks, Row, Runner, RunnerInfo, Slot


class CompilerDouble(CompilerServiceServicer):
    """A compiler that serves FetchIndexes for indexes that it was given.

    As the real one, it streams the bytes in pieces, the first with revision and size, and says
    NOT_FOUND of others. `failures` calls fail with UNAVAILABLE first; `gate` is waited for before
    an answer.
    """

    def __init__(self) -> None:
        self.indexes: dict[str, tuple[int, bytes]] = {}
        self.requests: list[FetchIndexRequest] = []
        """Of all calls."""
        self.calls = 0
        self.failures = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def FetchIndexes(  # noqa: N802 - the contract's name
        self,
        request: FetchIndexesRequest,
        context: Any,  # noqa: ANN401, ARG002 - grpc ships no types; not needed
    ) -> AsyncIterator[FetchIndexesResponse]:
        """Stream indexes."""
        self.calls += 1
        self.requests.extend(request.requests)
        await self.gate.wait()
        if self.failures > 0:
            self.failures -= 1
            raise ServiceUnavailableError("The compiler is away.")
        for number, one in enumerate(request.requests):
            for message in self._messages(one.index_id):
                message.number = number
                yield message

    def _messages(self, index_id: str) -> Iterator[FetchIndexesResponse]:
        if index_id not in self.indexes:
            status = to_status(IndexNotFoundError("No such index.")).SerializeToString()
            yield FetchIndexesResponse(status=status)
            return
        revision, data = self.indexes[index_id]
        part = FetchIndexResponse(revision=revision, total_bytes=len(data), chunk=data[:1000])
        yield FetchIndexesResponse(part=part)
        for start in range(1000, len(data), 1000):
            part = FetchIndexResponse(chunk=data[start : start + 1000])
            yield FetchIndexesResponse(part=part)


class SchedulerDouble(SchedulerServiceServicer):
    """A scheduler that remembers what workers tell it.

    As the real one, it acknowledges a report twice without counting it twice, and refuses a forged
    one. While `away`, it answers UNAVAILABLE. `stop_lease_ids` go out with the next Renew.

    Args:
        lease_key: Signs leases.
    """

    def __init__(self, lease_key: bytes) -> None:
        self._lease_key = lease_key
        self.reports: dict[tuple[str, int], ReportRequest] = {}
        self.renewals: list[RenewRequest] = []
        self.stop_lease_ids: list[str] = []
        self.away = False

    async def Report(  # noqa: N802 - the contract's name
        self,
        request: ReportRequest,
        context: Any,  # noqa: ANN401, ARG002 - grpc ships no types; not needed
    ) -> ReportResponse:
        """Keep a report."""
        self._check_here()
        lease = read_lease(self._lease_key, request.lease)
        self.reports.setdefault((lease.lease_id, lease.attempt), request)
        return ReportResponse()

    async def Renew(  # noqa: N802 - the contract's name
        self,
        request: RenewRequest,
        context: Any,  # noqa: ANN401, ARG002 - grpc ships no types; not needed
    ) -> RenewResponse:
        """Keep a heartbeat."""
        self._check_here()
        self.renewals.append(request)
        del self.renewals[:-100]
        stop, self.stop_lease_ids = self.stop_lease_ids, []
        return RenewResponse(stop_lease_ids=stop)

    def _check_here(self) -> None:
        if self.away:
            raise ServiceUnavailableError("The scheduler is away.")


class StreamClient:
    """The other end of a Decode stream: sends messages, collects frames by sequence.

    Args:
        channel: To the worker.
        token: The mesh token.
    """

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        stub = SamplerServiceStub(channel)
        self.call: Any = stub.Decode(metadata=Caller(token).metadata())  # type: ignore[call-arg] # the stubs know no writing by hand
        self.frames: dict[int, list[sampler_pb2.Frame]] = {}
        self.responses = 0
        self._changed = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())
        self.failure: grpc.aio.AioRpcError | None = None

    async def send(self, **message: Any) -> None:  # noqa: ANN401 - fields of the message
        """Send one message, named by its field of DecodeRequest."""
        await self.call.write(sampler_pb2.DecodeRequest(**message))

    async def open(
        self,
        sequence_id: int,
        lease: SignedLease,
        **changes: Any,  # noqa: ANN401 - fields of the message
    ) -> None:
        """Open a sequence with a short prompt; `changes` are laid over its Open."""
        sampling = {"max_tokens": 16, "temperature": 1.0, "top_p": 1.0, "seed": sequence_id}
        sampling |= changes.pop("sampling", {})
        values: dict[str, Any] = {"prompt_tokens": list(range(6, 40)), "sampling": sampling}
        await self.send(open={"sequence_id": sequence_id, "lease": lease, **values, **changes})

    async def wait_until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        """Return once a condition on the frames holds."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(condition)

    async def wait_ended(self, *sequence_ids: int) -> None:
        """Return once these sequences have their last frame."""
        await self.wait_until(lambda: all(self.last(one) is not None for one in sequence_ids))

    async def wait_closed(self, seconds: float = 20) -> None:
        """Return once the worker has ended the stream; `failure` says with which error."""
        await asyncio.wait_for(asyncio.shield(self._reading), seconds)

    def last(self, sequence_id: int) -> sampler_pb2.Frame | None:
        """Return a sequence's last frame, if it has come."""
        frames = self.frames.get(sequence_id, [])
        done = [frame for frame in frames if frame.finish or frame.HasField("error")]
        return done[-1] if done else None

    def text(self, sequence_id: int) -> str:
        """Return a sequence's text so far."""
        return "".join(frame.text for frame in self.frames.get(sequence_id, []))

    def tokens(self, sequence_id: int) -> int:
        """Return how many tokens a sequence has so far."""
        return sum(frame.tokens for frame in self.frames.get(sequence_id, []))

    def error(self, sequence_id: int) -> FormworkError:
        """Return the error that ended a sequence."""
        last = self.frames[sequence_id][-1]
        return from_status(status_pb2.Status.FromString(last.error.status))

    async def close(self) -> None:
        """Cancel the stream."""
        self.call.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        try:
            async for response in self.call:
                self.responses += 1
                for frame in response.frames:
                    self.frames.setdefault(frame.sequence_id, []).append(frame)
                async with self._changed:
                    self._changed.notify_all()
        except grpc.aio.AioRpcError as error:
            self.failure = error
        finally:
            async with self._changed:
                self._changed.notify_all()


@dataclass
class Told:
    """Everything that a batch told about one sequence."""

    text: str = ""
    tokens: int = 0
    outputs: list[Output] = field(default_factory=list)

    @property
    def last(self) -> Output:
        """What came last."""
        return self.outputs[-1]


def run_batch(
    batch: Batch, *, most: int = 2000, mask_seconds: float = 60
) -> dict[SequenceKey, Told]:
    """Step until nothing moves; return what was told by sequence.

    Args:
        batch: To be run.
        most: Steps that compute something.
        mask_seconds: For which late masks are waited for, all together.
    """
    told: dict[SequenceKey, Told] = {}
    waiting_until = time.monotonic() + mask_seconds
    steps = 0
    while steps < most:
        outputs, busy = batch.step()
        is_waiting = not busy and batch.awaits_masks and time.monotonic() < waiting_until
        steps += not is_waiting
        for output in outputs:
            one = told.setdefault(output.key, Told())
            one.text += output.text
            one.tokens += output.tokens
            one.outputs.append(output)
        if not busy and not is_waiting:
            return told
    raise AssertionError("the batch goes on and on")


class FaultyRunner:
    """A runner whose logits or steps can be spoilt: for what a real one does only when it breaks.

    Args:
        runner: Does the work.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.spoil: Callable[[Logits], Logits] = lambda logits: logits

    @property
    def info(self) -> RunnerInfo:
        """As the runner's."""
        return self._runner.info

    def prefill(self, slot: Slot, blocks: Sequence[KvBlock]) -> None:
        """As the runner's."""
        self._runner.prefill(slot, blocks)

    def step(self, rows: Sequence[Row], masks: Callable[[], Masks]) -> Logits:
        """Return the runner's logits, spoilt."""
        return self.spoil(self._runner.step(rows, masks))

    def truncate(self, slot: Slot, length: int) -> None:
        """As the runner's."""
        self._runner.truncate(slot, length)

    def free(self, slot: Slot) -> None:
        """As the runner's."""
        self._runner.free(slot)

    def snapshot(self, slot: Slot, start: int) -> KvBlock:
        """As the runner's."""
        return self._runner.snapshot(slot, start)


async def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Return once a condition holds; real processes and threads are involved."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nothing tells when another process is done
            await asyncio.sleep(0.01)
