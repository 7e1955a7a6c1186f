"""A gateway over HTTP in front of doubles of its neighbours, and the official client."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from formwork.compiler.v1 import compiler_pb2, compiler_pb2_grpc
from formwork.sampler.v1 import sampler_pb2, sampler_pb2_grpc
from formwork.sampler.v1.sampler_pb2 import FINISH_STOP
from formwork.scheduler.v1 import scheduler_pb2, scheduler_pb2_grpc

from gateway.config import GatewayConfig
from gateway.keys import NewKey
from gateway.main import Server, make_server
from gateway.testing import (
    MemoryKeyStore,
    ScriptedCompiler,
    ScriptedScheduler,
    ScriptedWorker,
    say,
    serve_double,
)
from gateway.testing_schemas import MemorySchemaStore
from gateway.wiring import Gateway, Stores, wire
from mesh.clock import SystemClock
from mesh.config import MeshConfig
from mesh.ids import Snapshot
from mesh.models import ModelEntry, ModelTable
from mesh.server import MeshServer

MODEL_FOLDER = Path(__file__).parents[2] / "models" / "formwork-mini"
SNAPSHOT = "formwork-mini-2026-01-01"
ALIAS = "formwork-mini"


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Return once the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - of another task or process, without an event
            await asyncio.sleep(0.005)


@dataclass
class Bench:
    """A gateway and the doubles around it."""

    url: str
    key: NewKey
    store: MemoryKeyStore
    schemas: MemorySchemaStore
    compiler: ScriptedCompiler
    scheduler: ScriptedScheduler
    workers: list[ScriptedWorker]
    worker_servers: list[MeshServer]
    gateway: Gateway
    server: Server
    client: openai.AsyncOpenAI
    http: httpx.AsyncClient = field(default_factory=httpx.AsyncClient)

    @property
    def worker(self) -> ScriptedWorker:
        return self.workers[0]

    def chat(self, **parameters: object) -> dict[str, Any]:
        messages = [{"role": "user", "content": "Say json."}]
        return {"model": ALIAS, "messages": messages, **parameters}

    async def post(
        self, body: object, *, path: str = "/v1/chat/completions", **headers: str
    ) -> httpx.Response:
        authorization = {"authorization": f"Bearer {self.key.value}", **headers}
        content = body if isinstance(body, bytes) else None
        json = None if isinstance(body, bytes) else body
        url = f"{self.url}{path}"
        return await self.http.post(url, content=content, json=json, headers=authorization)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        authorization = {"authorization": f"Bearer {self.key.value}", **headers}
        return await self.http.get(f"{self.url}{path}", headers=authorization)

    def gateway_metrics(self) -> str:
        return self.gateway.metrics.render().decode()

    async def settled(self, count: int = 1) -> list[tuple[Any, Any]]:
        await until(lambda: len(self.scheduler.settled) >= count)
        return self.scheduler.settled


MakeBench = Callable[..., Awaitable[Bench]]


def make_mesh_config(folder: Path) -> MeshConfig:
    token_file = folder / "token"
    token_file.write_text("t" * 64)
    return MeshConfig(token_file=token_file, drain_seconds=0.2)


@pytest.fixture
def mesh_config(tmp_path: Path) -> MeshConfig:
    return make_mesh_config(tmp_path)


def model_table(snapshots: Sequence[str] = (SNAPSHOT,), **changes: object) -> ModelTable:
    entry = ModelEntry(
        folder=MODEL_FOLDER,
        tokenizer_fingerprint="f" * 64,
        context=512,
        tools=True,
        refusal=True,
        created=1_700_000_000,
    )
    names = tuple(map(Snapshot, snapshots))
    return ModelTable(dict.fromkeys(names, replace(entry, **changes)), {ALIAS: names})


@asynccontextmanager
async def open_bench(
    mesh: MeshConfig, *, workers: int = 1, model: dict[str, Any] | None = None, **config: object
) -> AsyncIterator[Bench]:
    compiler, scheduler = ScriptedCompiler(), ScriptedScheduler()
    store, schemas = MemoryKeyStore(), MemorySchemaStore()
    compiler_server, mesh_compiler = await serve_double(
        compiler,
        compiler_pb2_grpc.add_CompilerServiceServicer_to_server,
        compiler_pb2.DESCRIPTOR.services_by_name["CompilerService"],
        mesh,
    )
    scheduler_server, mesh_scheduler = await serve_double(
        scheduler,
        scheduler_pb2_grpc.add_SchedulerServiceServicer_to_server,
        scheduler_pb2.DESCRIPTOR.services_by_name["SchedulerService"],
        mesh,
    )
    doubles = [ScriptedWorker(lambda _: [say("Hi", finish=FINISH_STOP)]) for _ in range(workers)]
    worker_servers = []
    for double in doubles:
        server, address = await serve_double(
            double,
            sampler_pb2_grpc.add_SamplerServiceServicer_to_server,
            sampler_pb2.DESCRIPTOR.services_by_name["SamplerService"],
            mesh,
        )
        worker_servers.append(server)
        scheduler.addresses.append(address)
    mesh = replace(mesh, compiler_address=mesh_compiler, scheduler_address=mesh_scheduler)
    settings = GatewayConfig(http_port=0, **config)
    stores = Stores(store, schemas)
    gateway = wire(mesh, settings, model_table(**(model or {})), stores, SystemClock())
    http_server = make_server(gateway.app, settings, 2)
    listening = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(http_server.serve(sockets=[listening]))
    await until(lambda: http_server.started)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    key = store.add()
    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key.value, max_retries=0)
    bench = Bench(
        url,
        key,
        store,
        schemas,
        compiler,
        scheduler,
        doubles,
        worker_servers,
        gateway,
        http_server,
        client,
    )
    try:
        yield bench
    finally:
        await client.close()
        await bench.http.aclose()
        http_server.should_exit = True
        await serving
        await gateway.close(1)
        for server in [compiler_server, scheduler_server, *worker_servers]:
            await server.stop()


@pytest.fixture
async def bench(mesh_config: MeshConfig) -> AsyncIterator[Bench]:
    async with open_bench(mesh_config) as opened:
        yield opened
