"""The doubles keep the contract: the same checks on them and on the real services."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from formwork.compiler.v1 import compiler_pb2
from formwork.compiler.v1.compiler_pb2_grpc import CompilerServiceStub
from formwork.scheduler.v1 import scheduler_pb2
from formwork.scheduler.v1.scheduler_pb2_grpc import (
    SchedulerServiceStub,
    add_SchedulerServiceServicer_to_server,
)
from formwork_engine.index import Index
from google.rpc.status_pb2 import Status

from mesh.channels import Caller, open_channel
from mesh.clock import SystemClock
from mesh.config import Settings
from mesh.errors import IndexNotFoundError, LeaseInvalidError, from_status
from mesh.models import load_models
from mesh.server import MeshServer
from sampler_service.model_folder import ModelFolder
from sampler_service.testing_mesh import (
    LEASE_KEY,
    TOKEN,
    WORKER_ID,
    WorkerMesh,
    run_worker,
    write_toml,
)
from scheduler.config import SchedulerConfig
from scheduler.testing import Desk
from scheduler.wiring import build_service

if TYPE_CHECKING:
    import grpc.aio

SCHEMA = (
    '{"type": "object", "properties": {"kind": {"enum": ["one", "two"]}}, "required": ["kind"]}'
)


@dataclass
class Compiler:
    """A compiler that answers, and an index that it can serve."""

    channel: "grpc.aio.Channel"
    address: str
    index_id: str
    revision: int
    grammar: bytes

    async def fetch(self, *index_ids: str) -> list[compiler_pb2.FetchIndexesResponse]:
        """Return the messages about indexes; all that is known of the one goes with each."""
        known = {"revision": self.revision, "canonical_grammar": self.grammar}
        requests = [
            compiler_pb2.FetchIndexRequest(index_id=one, **known if one == self.index_id else {})
            for one in index_ids
        ]
        method = CompilerServiceStub(self.channel).FetchIndexes
        request = compiler_pb2.FetchIndexesRequest(requests=requests)
        stream = Caller(TOKEN).stream(method, request, timeout_seconds=20)
        return [response async for response in stream]


@pytest.fixture(params=["double", "real"])
async def compiler(
    request: pytest.FixtureRequest, mesh: WorkerMesh, index: Index
) -> AsyncIterator[Compiler]:
    if request.param == "double":
        address = str(mesh.settings.table("mesh")["compiler_address"])
        channel = open_channel(address, mesh.config)
        yield Compiler(channel, address, mesh.hold(index), 1, b"")
        await channel.close(None)
        return
    async with real_compiler(mesh) as compiler:
        yield compiler


@asynccontextmanager
async def real_compiler(mesh: WorkerMesh) -> AsyncIterator[Compiler]:
    """Run the compiler's process without a database, and let it compile an index."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    document = mesh.document({"mesh": {"compiler_address": address}, "sampler": {}})
    folder = mesh.settings.folder
    write_toml(document, folder / "compiler.toml")
    environment = {
        "FORMWORK_CONFIG": str(folder / "compiler.toml"),
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "compiler_service.main", env=os.environ | environment
    )
    channel = open_channel(address, mesh.config)
    try:
        yield await ensure_index(channel, address, mesh)
    finally:
        await channel.close(None)
        process.terminate()
        await asyncio.wait_for(process.wait(), 30)


async def ensure_index(channel: "grpc.aio.Channel", address: str, mesh: WorkerMesh) -> Compiler:
    fingerprint = next(iter(mesh.settings.table("models").values()))["tokenizer_fingerprint"]
    answer = await Caller(TOKEN).unary(
        CompilerServiceStub(channel).EnsureIndex,
        compiler_pb2.EnsureIndexRequest(
            input={"json_schema": SCHEMA},
            tokenizer_fingerprint=fingerprint,
            dialect=compiler_pb2.DIALECT_EXTENDED,
        ),
        timeout_seconds=60,
        wait_for_ready=True,
    )
    return Compiler(channel, address, answer.index_id, answer.revision, answer.canonical_grammar)


async def test_indexes_come_in_order_with_size_and_revision_first(
    compiler: Compiler, folder: ModelFolder
) -> None:
    unknown = "f" * 64
    messages = await compiler.fetch(unknown, compiler.index_id)
    (failed,) = (message for message in messages if message.number == 0)
    assert isinstance(from_status(Status.FromString(failed.status)), IndexNotFoundError)
    first, *others = (message.part for message in messages if message.number == 1)
    data = first.chunk
    for other in others:
        assert (other.revision, other.total_bytes) == (0, 0)
        data += other.chunk
    assert len(data) == first.total_bytes
    assert first.revision >= compiler.revision
    assert Index.load(data, folder.vocabulary)


async def test_a_worker_decodes_with_an_index_of_the_real_compiler(mesh: WorkerMesh) -> None:
    async with real_compiler(mesh) as compiler:
        document = mesh.document({"mesh": {"compiler_address": compiler.address}})
        mesh.settings = Settings(document, {}, mesh.settings.folder)
        async with run_worker(mesh) as running:
            gateway = running.connect()
            await gateway.open(
                1, mesh.lease(), constrained=True, sampling={"max_tokens": 300, "seed": 3}
            )
            bind = {"index_id": compiler.index_id, "revision": compiler.revision}
            await gateway.send(
                bind={"sequence_id": 1, "canonical_grammar": compiler.grammar, **bind}
            )
            await gateway.wait_ended(1)
            assert json.loads(gateway.text(1))["kind"] in ("one", "two")
            await gateway.close()


@pytest.fixture(params=["double", "real"])
async def scheduler(
    request: pytest.FixtureRequest, mesh: WorkerMesh
) -> AsyncIterator["grpc.aio.Channel"]:
    if request.param == "double":
        address = str(mesh.settings.table("mesh")["scheduler_address"])
        channel = open_channel(address, mesh.config)
        yield channel
        await channel.close(None)
        return
    desk = Desk(SchedulerConfig())
    await desk.open()
    models = load_models(mesh.settings)
    # its journal waits for no time to pass; leases are made with the machine's clock
    service = build_service(desk.scheduler, desk.config, models, LEASE_KEY.encode(), SystemClock())
    server = MeshServer(
        mesh.config,
        TOKEN,
        [scheduler_pb2.DESCRIPTOR.services_by_name["SchedulerService"]],
        lambda grpc_server: add_SchedulerServiceServicer_to_server(service, grpc_server),
    )
    port = await server.start("127.0.0.1:0")
    channel = open_channel(f"127.0.0.1:{port}", mesh.config)
    yield channel
    await channel.close(None)
    await server.stop()
    await desk.crash()


async def ask(channel: "grpc.aio.Channel", name: str, request: object) -> object:
    method = getattr(SchedulerServiceStub(channel), name)
    return await Caller(TOKEN).unary(method, request, timeout_seconds=20)


async def test_a_report_is_acknowledged_each_time(
    mesh: WorkerMesh, scheduler: "grpc.aio.Channel"
) -> None:
    report = scheduler_pb2.ReportRequest(
        lease=mesh.lease(choices=1),
        counts={"prompt_tokens": 5, "completion_tokens": 7},
        outcome=scheduler_pb2.OUTCOME_COMPLETED,
        served_by="cpu/float32 seeded",
    )
    for _ in range(2):
        assert isinstance(await ask(scheduler, "Report", report), scheduler_pb2.ReportResponse)


async def test_a_forged_report_is_refused_for_good(
    mesh: WorkerMesh, scheduler: "grpc.aio.Channel"
) -> None:
    forged = mesh.lease()
    forged.signature = b"0" * 32
    report = scheduler_pb2.ReportRequest(lease=forged, outcome=scheduler_pb2.OUTCOME_COMPLETED)
    with pytest.raises(LeaseInvalidError):
        await ask(scheduler, "Report", report)


async def test_a_worker_that_was_never_seen_is_taken_on(
    mesh: WorkerMesh, scheduler: "grpc.aio.Channel"
) -> None:
    renewal = scheduler_pb2.RenewRequest(
        worker_id=WORKER_ID,
        worker_address="127.0.0.1:1",
        snapshot="small-1",
        state=scheduler_pb2.WORKER_STATE_READY,
        load={"slots": 4},
        checkpoints=[{"lease": mesh.lease(), "counts": {"completion_tokens": 3}}],
    )
    answer = await ask(scheduler, "Renew", renewal)
    assert isinstance(answer, scheduler_pb2.RenewResponse)
    assert list(answer.stop_lease_ids) == []
