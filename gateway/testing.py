"""Doubles of the gateway's neighbours, served over real sockets, and a key store in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import grpc.aio
from formwork.compiler.v1 import compiler_pb2, compiler_pb2_grpc
from formwork.sampler.v1 import sampler_pb2, sampler_pb2_grpc
from formwork.sampler.v1.sampler_pb2 import (
    CHANNEL_CONTENT,
    DecodeRequest,
    DecodeResponse,
    Frame,
    Open,
)
from formwork.scheduler.v1 import scheduler_pb2, scheduler_pb2_grpc
from formwork.scheduler.v1.scheduler_pb2 import WORKER_STATE_READY, Lease, SignedLease

from gateway.keys import NewKey, make_key
from gateway.store import KeyRecord
from mesh.config import MeshConfig
from mesh.errors import DatabaseUnavailableError, FormworkError, NoWorkerError, to_status
from mesh.ids import KeyId, ProjectId, new_id
from mesh.leases import peek_lease, sign_lease
from mesh.server import MeshServer

LEASE_KEY = b"k" * 32
Script = Callable[[Open], Iterable[Frame]]


def say(text: str, *, tokens: int = 1, finish: int = 0, channel: int = CHANNEL_CONTENT) -> Frame:
    """Return a frame; its sequence id is filled in by the worker."""
    return Frame(text=text, tokens=tokens, finish=finish, channel=channel)  # type: ignore[arg-type] # plain numbers


def fail(error: FormworkError) -> Frame:
    """Return the frame by which a worker ends a sequence with an error."""
    status = to_status(error).SerializeToString()
    return Frame(error=sampler_pb2.SequenceError(status=status))


class MemoryKeyStore:
    """Keys in memory; `is_down` plays a database that does not answer."""

    def __init__(self) -> None:
        self.records: dict[bytes, KeyRecord] = {}
        self.is_down = False
        self.lookups = 0

    async def find_key(self, key_hash: bytes) -> KeyRecord | None:
        """Return the key with this hash."""
        self.lookups += 1
        if self.is_down:
            raise DatabaseUnavailableError("The database does not answer.")
        return self.records.get(key_hash)

    def add(self, *, dialect: str = "strict", expires_at: datetime | None = None) -> NewKey:
        """Return a new key of a project of its own."""
        key = make_key()
        self.records[key.hash] = KeyRecord(
            KeyId(new_id("key")),
            key.hash,
            ProjectId(new_id("proj")),
            "org_test",
            dialect,
            expires_at,
            None,
        )
        return key

    def revoke(self, key: NewKey) -> None:
        """Mark a key as revoked."""
        self.records[key.hash] = replace(self.records[key.hash], revoked_at=datetime.now(UTC))


class ScriptedCompiler(compiler_pb2_grpc.CompilerServiceServicer):
    """Takes every schema, unless told to refuse; `gate` holds answers back."""

    def __init__(self) -> None:
        self.requests: list[compiler_pb2.EnsureIndexRequest] = []
        self.refusal: FormworkError | None = None
        self.shortest: int | None = None
        self.grammar = b""
        self.inline = b""
        self.gate = asyncio.Event()
        self.gate.set()

    async def EnsureIndexes(  # noqa: N802 - the contract's name
        self, request: compiler_pb2.EnsureIndexesRequest, context: object
    ) -> compiler_pb2.EnsureIndexesResponse:
        """Answer each with an id made of the requests' count, or with the refusal."""
        del context
        first = len(self.requests) + 1
        self.requests.extend(request.requests)
        await self.gate.wait()
        numbers = range(first, first + len(request.requests))
        return compiler_pb2.EnsureIndexesResponse(outcomes=map(self._outcome, numbers))

    def _outcome(self, number: int) -> compiler_pb2.IndexOutcome:
        if self.refusal is not None:
            status = to_status(self.refusal).SerializeToString()
            return compiler_pb2.IndexOutcome(status=status)
        index = compiler_pb2.EnsureIndexResponse(
            index_id=f"{number:064x}",
            revision=1,
            shortest_answer_tokens=self.shortest,
            canonical_grammar=self.grammar,
            inline_index=self.inline,
        )
        return compiler_pb2.IndexOutcome(index=index)


class ScriptedScheduler(scheduler_pb2_grpc.SchedulerServiceServicer):
    """Places a request on the first worker, a retried one on the next; keeps what it was told."""

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.acquired: list[scheduler_pb2.AcquireRequest] = []
        self.retried: list[Lease] = []
        self.released: list[Lease] = []
        self.settled: list[tuple[Lease, scheduler_pb2.SettleRequest]] = []
        self.refusal: FormworkError | None = None
        self.retry_refusal: FormworkError | None = None
        self.absent: set[str] = set()
        """Snapshots without a worker."""
        self.settle_failures = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def Acquire(  # noqa: N802 - the contract's name
        self, request: scheduler_pb2.AcquireRequest, context: object
    ) -> scheduler_pb2.AcquireResponse:
        """Return a lease on the first worker."""
        del context
        self.acquired.append(request)
        await self.gate.wait()
        if self.refusal is not None:
            raise self.refusal
        if request.snapshot in self.absent:
            raise NoWorkerError("No worker serves the model.", retry_after_seconds=2)
        lease = Lease(
            lease_id=new_id("lease"),
            attempt=1,
            request_id=request.request_id,
            project_id=request.project_id,
            service_tier=request.service_tier,
        )
        return scheduler_pb2.AcquireResponse(lease=self._sign(lease), worker_address=self._place(1))

    async def Retry(  # noqa: N802 - the contract's name
        self, request: scheduler_pb2.RetryRequest, context: object
    ) -> scheduler_pb2.RetryResponse:
        """Return the next attempt, on the next worker."""
        del context
        if self.retry_refusal is not None:
            raise self.retry_refusal
        lease = peek_lease(request.lease)
        lease.attempt += 1
        self.retried.append(lease)
        address = self._place(lease.attempt)
        return scheduler_pb2.RetryResponse(lease=self._sign(lease), worker_address=address)

    async def Settle(  # noqa: N802 - the contract's name
        self, request: scheduler_pb2.SettleRequest, context: object
    ) -> scheduler_pb2.SettleResponse:
        """Keep the settlement, after the failures that were asked for."""
        del context
        if self.settle_failures > 0:
            self.settle_failures -= 1
            raise DatabaseUnavailableError("The database does not answer.")
        self.settled.append((peek_lease(request.lease), request))
        return scheduler_pb2.SettleResponse(charged=True)

    async def Release(  # noqa: N802 - the contract's name
        self, request: scheduler_pb2.ReleaseRequest, context: object
    ) -> scheduler_pb2.ReleaseResponse:
        """Keep the release."""
        del context
        self.released.append(peek_lease(request.lease))
        return scheduler_pb2.ReleaseResponse()

    async def ListWorkers(  # noqa: N802 - the contract's name
        self, request: scheduler_pb2.ListWorkersRequest, context: object
    ) -> scheduler_pb2.ListWorkersResponse:
        """Say that every worker is ready."""
        del request, context
        workers = [
            scheduler_pb2.Worker(worker_address=address, state=WORKER_STATE_READY)
            for address in self.addresses
        ]
        return scheduler_pb2.ListWorkersResponse(workers=workers)

    def _place(self, attempt: int) -> str:
        if len(self.addresses) < attempt:
            raise NoWorkerError("No worker serves the model.", retry_after_seconds=2)
        return self.addresses[attempt - 1]

    def _sign(self, lease: Lease) -> SignedLease:
        return sign_lease(LEASE_KEY, lease)


@dataclass
class _Sequence:
    opened: Open
    bound: asyncio.Event = field(default_factory=asyncio.Event)
    going: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class ScriptedWorker(sampler_pb2_grpc.SamplerServiceServicer):
    """Answers each sequence with the frames of a script, and keeps what it was told."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.opens: list[Open] = []
        self.binds: list[sampler_pb2.Bind] = []
        self.aborted: list[int] = []
        self.pauses = 0
        self.resumes = 0
        self.sent_tokens = 0
        self.streams = 0

    async def Decode(  # noqa: N802 - the contract's name
        self, request_iterator: AsyncIterator[DecodeRequest], context: object
    ) -> AsyncIterator[DecodeResponse]:
        """Serve one stream."""
        del context
        self.streams += 1
        outgoing: asyncio.Queue[DecodeResponse] = asyncio.Queue(maxsize=8)
        live: dict[int, _Sequence] = {}
        reader = asyncio.create_task(self._read(request_iterator, live, outgoing))
        try:
            while True:
                yield await outgoing.get()
        finally:
            tasks = [sequence.task for sequence in live.values() if sequence.task]
            for task in [reader, *tasks]:
                task.cancel()
            await asyncio.gather(reader, *tasks, return_exceptions=True)

    async def _read(
        self,
        requests: AsyncIterator[DecodeRequest],
        live: dict[int, _Sequence],
        outgoing: asyncio.Queue[DecodeResponse],
    ) -> None:
        async for request in requests:
            kind = request.WhichOneof("message")
            if kind == "open":
                self._begin(request.open, live, outgoing)
                continue
            sequence = live[getattr(request, str(kind)).sequence_id]
            self._steer(str(kind), request, sequence)

    def _begin(
        self, opened: Open, live: dict[int, _Sequence], outgoing: asyncio.Queue[DecodeResponse]
    ) -> None:
        self.opens.append(opened)
        sequence = _Sequence(opened)
        sequence.going.set()
        if not opened.constrained:
            sequence.bound.set()
        if opened.HasField("bind"):
            self.binds.append(opened.bind)
            sequence.bound.set()
        live[opened.sequence_id] = sequence
        sequence.task = asyncio.create_task(self._generate(sequence, outgoing))

    def _steer(self, kind: str, request: DecodeRequest, sequence: _Sequence) -> None:
        if kind == "bind":
            self.binds.append(request.bind)
            sequence.bound.set()
        elif kind == "abort":
            self.aborted.append(request.abort.sequence_id)
            if sequence.task is not None:
                sequence.task.cancel()
        elif kind == "pause":
            self.pauses += 1
            sequence.going.clear()
        else:
            self.resumes += 1
            sequence.going.set()

    async def _generate(self, sequence: _Sequence, outgoing: asyncio.Queue[DecodeResponse]) -> None:
        await sequence.bound.wait()
        for template in self.script(sequence.opened):
            await sequence.going.wait()
            frame = Frame()
            frame.CopyFrom(template)
            frame.sequence_id = sequence.opened.sequence_id
            self.sent_tokens += frame.tokens
            await outgoing.put(DecodeResponse(frames=[frame]))
            await asyncio.sleep(0)


async def serve_double(
    servicer: object, register: Callable[..., None], service: object, mesh: MeshConfig
) -> tuple[MeshServer, str]:
    """Serve a double on a free port; return the server and its address."""

    def add(server: grpc.aio.Server) -> None:
        register(servicer, server)

    descriptors: Sequence[object] = [service]
    server = MeshServer(mesh, mesh.read_token(), descriptors, add)  # type: ignore[arg-type] # untyped descriptors
    port = await server.start("127.0.0.1:0")
    return server, f"127.0.0.1:{port}"
