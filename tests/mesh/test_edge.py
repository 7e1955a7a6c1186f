"""Server and caller over a real socket: token, context, deadlines, named errors, health, drain."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio
import pytest
from formwork.compiler.v1 import compiler_pb2, compiler_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mesh.channels import Caller, open_channel
from mesh.config import MeshConfig
from mesh.context import bind_request, current_request_id, current_traceparent
from mesh.errors import (
    DeadlineExceededError,
    InternalError,
    SchemaRefusedError,
    ServiceUnavailableError,
    UnauthenticatedError,
)
from mesh.server import MeshServer

TOKEN = "t" * 32
TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


class Compiler(compiler_pb2_grpc.CompilerServiceServicer):
    """Answers with the context it saw; misbehaves on request."""

    async def EnsureIndex(  # noqa: N802 - the contract's name
        self, request: compiler_pb2.EnsureIndexRequest, context: object
    ) -> compiler_pb2.EnsureIndexResponse:
        match request.project_id:
            case "refuse":
                raise SchemaRefusedError("No.", field="/a", metadata={"keyword": "not"})
            case "crash":
                raise RuntimeError("password=hunter2")
            case "hang":
                await asyncio.Event().wait()
        return compiler_pb2.EnsureIndexResponse(
            index_id=current_request_id(), canonical_grammar=current_traceparent().encode()
        )

    async def FetchIndex(  # noqa: N802 - the contract's name
        self, request: compiler_pb2.FetchIndexRequest, context: object
    ) -> AsyncIterator[compiler_pb2.FetchIndexResponse]:
        yield compiler_pb2.FetchIndexResponse(revision=1, chunk=current_request_id().encode())
        if request.revision == 2:
            raise SchemaRefusedError("Later.")


@dataclass
class Edge:
    config: MeshConfig
    address: str
    channel: grpc.aio.Channel
    caller: Caller = field(default_factory=lambda: Caller(TOKEN))

    @property
    def stub(self) -> compiler_pb2_grpc.CompilerServiceStub:
        return compiler_pb2_grpc.CompilerServiceStub(self.channel)

    async def ensure(
        self, project: str = "", seconds: float = 5
    ) -> compiler_pb2.EnsureIndexResponse:
        request = compiler_pb2.EnsureIndexRequest(project_id=project)
        return await self.caller.unary(self.stub.EnsureIndex, request, timeout_seconds=seconds)


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    config = MeshConfig(token_file=Path("unused"), drain_seconds=2, reflection=True)
    server = MeshServer(
        config,
        TOKEN,
        [compiler_pb2.DESCRIPTOR.services_by_name["CompilerService"]],
        lambda it: compiler_pb2_grpc.add_CompilerServiceServicer_to_server(Compiler(), it),
    )
    address = f"127.0.0.1:{await server.start('127.0.0.1:0')}"
    async with open_channel(address, config) as channel:
        yield Edge(config, address, channel)
    await server.stop()


async def test_the_context_of_a_request_reaches_the_handler(edge: Edge) -> None:
    with bind_request("req_42", TRACE):
        answer = await edge.ensure()
        chunks = edge.caller.stream(
            edge.stub.FetchIndex, compiler_pb2.FetchIndexRequest(), timeout_seconds=5
        )
        first = await anext(chunks)
        await chunks.aclose()
    assert (answer.index_id, answer.canonical_grammar) == ("req_42", TRACE.encode())
    assert first.chunk == b"req_42"


@pytest.mark.parametrize("request_id", ["", "a b", "x" * 200, "né"])
async def test_a_malformed_request_id_is_replaced(request_id: str) -> None:
    with bind_request(request_id, "junk") as bound:
        assert bound != request_id
        assert current_traceparent() != "junk"


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x"])
async def test_a_call_without_the_token_is_refused(edge: Edge, token: str) -> None:
    edge.caller = Caller(token)
    with pytest.raises(UnauthenticatedError):
        await edge.ensure()


async def test_a_named_error_keeps_its_name(edge: Edge) -> None:
    with pytest.raises(SchemaRefusedError) as refused:
        await edge.ensure("refuse")
    assert (refused.value.field, refused.value.metadata) == ("/a", {"keyword": "not"})


async def test_an_error_in_the_middle_of_a_stream_keeps_its_name(edge: Edge) -> None:
    chunks = edge.caller.stream(
        edge.stub.FetchIndex, compiler_pb2.FetchIndexRequest(revision=2), timeout_seconds=5
    )
    assert (await anext(chunks)).revision == 1
    with pytest.raises(SchemaRefusedError):
        await anext(chunks)


async def test_a_crash_says_nothing_of_its_cause(edge: Edge) -> None:
    with pytest.raises(InternalError) as crash:
        await edge.ensure("crash")
    assert crash.value.message == "Internal error."


async def test_a_deadline_ends_the_call(edge: Edge) -> None:
    with pytest.raises(DeadlineExceededError):
        await edge.ensure("hang", seconds=0.2)


async def test_a_peer_that_is_away_is_unavailable(edge: Edge) -> None:
    async with open_channel("127.0.0.1:1", edge.config) as nowhere:
        edge.channel = nowhere
        with pytest.raises(ServiceUnavailableError):
            await edge.ensure()


async def test_health_needs_no_token(edge: Edge) -> None:
    health = health_pb2_grpc.HealthStub(edge.channel)
    for name in ("", "formwork.compiler.v1.CompilerService"):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
