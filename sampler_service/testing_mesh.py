"""A worker's surroundings over real gRPC: doubles that listen, their configuration, and leases."""

import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
from formwork.compiler.v1 import compiler_pb2
from formwork.compiler.v1.compiler_pb2_grpc import add_CompilerServiceServicer_to_server
from formwork.scheduler.v1 import scheduler_pb2
from formwork.scheduler.v1.scheduler_pb2_grpc import add_SchedulerServiceServicer_to_server
from formwork_engine.index import Index

from mesh.channels import open_channel
from mesh.clock import SystemClock
from mesh.config import MeshConfig, Settings
from mesh.leases import sign_lease
from mesh.server import MeshServer
from sampler_service.model_folder import ModelFolder
from sampler_service.testing import CompilerDouble, SchedulerDouble, StreamClient
from sampler_service.worker import Worker, WorkerArguments

SNAPSHOT = "small-1"
WORKER_ID = "w1"
TOKEN = "t" * 64
LEASE_KEY = "k" * 64
_DRAIN_SECONDS = 5.0


@dataclass
class WorkerMesh:
    """The doubles that a worker calls, and the settings that lead it there."""

    settings: Settings
    config: MeshConfig
    compiler: CompilerDouble
    scheduler: SchedulerDouble

    def lease(self, **changes: object) -> scheduler_pb2.SignedLease:
        """Return a signed lease of the worker; `changes` are laid over its fields."""
        values: dict[str, Any] = {
            "lease_id": f"lease_{secrets.token_hex(4)}",
            "attempt": 1,
            "worker_id": WORKER_ID,
            "snapshot": SNAPSHOT,
            "choices": 1,
            "prompt_tokens": 1000,
            "max_completion_tokens": 1000,
        }
        lease = scheduler_pb2.Lease(**values | changes)
        if not lease.HasField("expires_at"):
            lease.expires_at.FromSeconds(int(SystemClock().now().timestamp()) + 60)
        return sign_lease(LEASE_KEY.encode(), lease)

    def document(
        self, changes: Mapping[str, Mapping[str, object]] | None = None
    ) -> dict[str, dict[str, Any]]:
        """Return the configuration as sections; `changes` are laid over them."""
        changes = changes or {}
        return {
            name: dict(self.settings.table(name)) | dict(changes.get(name, {}))
            for name in ("mesh", "sampler", "models")
        }

    def hold(self, index: Index, index_id: str = "a" * 64) -> str:
        """Let the compiler serve an index; return its id."""
        self.compiler.indexes[index_id] = (1, index.dump())
        return index_id


@dataclass
class RunningWorker:
    """A worker that has started, and a channel to it."""

    worker: Worker
    address: str
    channel: grpc.aio.Channel

    def connect(self) -> StreamClient:
        """Open a stream."""
        return StreamClient(self.channel, TOKEN)


def write_toml(document: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Write a configuration for a process of its own."""
    lines: list[str] = []
    for section in ("mesh", "sampler"):
        lines.append(f"[{section}]")
        lines += [f"{name} = {json.dumps(value)}" for name, value in document[section].items()]
    for snapshot, entry in document["models"].items():
        lines.append(f'[models."{snapshot}"]')
        lines += [f"{name} = {json.dumps(value)}" for name, value in entry.items()]
    path.write_text("\n".join(lines), encoding="utf-8")


@asynccontextmanager
async def serve_doubles(
    path: Path, folder: ModelFolder, options: Mapping[str, object]
) -> AsyncIterator[WorkerMesh]:
    """Serve a compiler and a scheduler double; yield what a worker of the folder needs.

    Args:
        path: For secrets and the spool.
        folder: Its model.
        options: Over section `sampler`.
    """
    (path / "token").write_text(TOKEN)
    (path / "lease.key").write_text(LEASE_KEY)
    config = MeshConfig(path / "token", path / "lease.key", drain_seconds=_DRAIN_SECONDS)
    compiler = CompilerDouble()  # type: ignore[abstract] # a worker calls no more of it
    scheduler = SchedulerDouble(LEASE_KEY.encode())  # type: ignore[abstract] # a worker calls no more of it
    servers = [
        MeshServer(
            config,
            TOKEN,
            [compiler_pb2.DESCRIPTOR.services_by_name["CompilerService"]],
            lambda server: add_CompilerServiceServicer_to_server(compiler, server),
        ),
        MeshServer(
            config,
            TOKEN,
            [scheduler_pb2.DESCRIPTOR.services_by_name["SchedulerService"]],
            lambda server: add_SchedulerServiceServicer_to_server(scheduler, server),
        ),
    ]
    ports = [await server.start("127.0.0.1:0") for server in servers]
    document = _document(ports, folder, options)
    try:
        yield WorkerMesh(Settings(document, {}, path), config, compiler, scheduler)
    finally:
        for server in servers:
            await server.stop()


@asynccontextmanager
async def run_worker(mesh: WorkerMesh) -> AsyncIterator[RunningWorker]:
    """Run a worker in this process; stop it at the end."""
    worker = Worker(mesh.settings, WorkerArguments(WORKER_ID, SNAPSHOT))
    address = await worker.start()
    channel = open_channel(address, mesh.config)
    try:
        yield RunningWorker(worker, address, channel)
    finally:
        await channel.close(None)
        await worker.stop()


def _document(
    ports: list[int], folder: ModelFolder, options: Mapping[str, object]
) -> dict[str, dict[str, object]]:
    return {
        "mesh": {
            "token_file": "token",
            "lease_key_file": "lease.key",
            "compiler_address": f"127.0.0.1:{ports[0]}",
            "scheduler_address": f"127.0.0.1:{ports[1]}",
            "drain_seconds": _DRAIN_SECONDS,
        },
        "models": {
            SNAPSHOT: {
                "folder": str(folder.path),
                "tokenizer_fingerprint": folder.vocabulary.fingerprint,
                "context": 512,
            }
        },
        "sampler": {
            "slots": 4,
            "parked_slots": 2,
            "renew_seconds": 0.05,
            "index_retry_seconds": 0.01,
            "spool_folder": "spool",
            **options,
        },
    }
