"""The start of a mesh, stage by stage."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from infra import ray_head
from infra.configuration import Document, MeshPorts, ensure_secrets, write_configuration
from infra.database import (
    ExternalDatabase,
    find_external,
    set_up_embedded,
    set_up_external,
)
from infra.home import Home
from infra.plan import (
    COMPILER,
    GATEWAY,
    POSTGRES,
    RAY,
    SCHEDULER,
    Surroundings,
    head_spec,
    postgres_spec,
    service_spec,
    stop_workers_spec,
)
from infra.ports import LOOPBACK, Ports
from infra.postgres import open_embedded
from infra.probes import grpc_serves, http_ready, is_ready
from infra.processes import ProcessSpec
from infra.readiness import WORKER, find_workers
from infra.roles import DatabaseAccess
from infra.supervisor import Supervisor


class Boot:
    """Brings up everything that a home's mesh consists of.

    Args:
        home: The home.
        environment: Of whoever started the mesh.
        http_port: Where the gateway listens.
    """

    def __init__(self, home: Home, environment: Mapping[str, str], http_port: int) -> None:
        self.home = home
        self._environment = environment
        self._chosen = Ports(home.run / "ports.json")
        self._ports = MeshPorts(
            http_port, self._chosen.choose(COMPILER), self._chosen.choose(SCHEDULER)
        )
        self._own_head = not environment.get("RAY_ADDRESS")
        self._ray_port = self._chosen.choose(RAY)
        ray = ray_head.ray_environment(home, self._ray_port) if self._own_head else {}
        self._around = Surroundings(home, environment, ray)
        self._document: Document = {}

    async def run(self, supervisor: Supervisor) -> None:
        """Return when the mesh answers requests.

        Raises:
            ExceptionGroup: Of the SetupErrors that hindered it; the stages tell.
        """
        async with asyncio.TaskGroup() as group:
            database = group.create_task(self._start_database(supervisor))
            configured = group.create_task(self._configure(supervisor))
            group.create_task(self._start_head(supervisor, configured))
            access, external = await database
            await configured
            for name in (SCHEDULER, COMPILER, GATEWAY):
                spec = service_spec(self._around, name, access, external)
                group.create_task(self._start_service(supervisor, spec))
            group.create_task(self._wait_for_worker(supervisor))

    def stop_workers(self) -> ProcessSpec | None:
        """Return the command that ends the workers, once there is a configuration."""
        return stop_workers_spec(self._around) if self._document else None

    async def _start_database(
        self, supervisor: Supervisor
    ) -> tuple[DatabaseAccess, ExternalDatabase | None]:
        async with supervisor.stage("database") as describe:
            external = find_external(self._environment)
            if external is not None:
                describe(f"yours, at {external.url.host}:{external.url.port}")
                return await asyncio.to_thread(set_up_external, external, self.home), external
            port = self._chosen.choose(POSTGRES)
            server = await asyncio.to_thread(open_embedded, self.home, port)
            supervisor.keep(postgres_spec(self._around, server))
            await supervisor.wait_until(POSTGRES, server.answers)
            access = await asyncio.to_thread(set_up_embedded, server.admin_url(), self.home)
            describe(f"PostgreSQL {server.binaries.major} on {LOOPBACK}:{port}")
            return access, None

    async def _configure(self, supervisor: Supervisor) -> None:
        async with supervisor.stage("configuration") as describe:
            ensure_secrets(self.home)
            path, self._document = await asyncio.to_thread(
                write_configuration, self.home, self._ports
            )
            describe(_models_of(self._document, path))

    async def _start_head(self, supervisor: Supervisor, configured: asyncio.Task[None]) -> None:
        await asyncio.shield(configured)
        if self._document.get("scheduler", {}).get("launcher") == "local":
            return
        async with supervisor.stage("ray") as describe:
            if not self._own_head:
                describe(f"yours, at {self._environment['RAY_ADDRESS']}")
                return
            cpus = ray_head.worker_cpus(self._document["models"])
            client_port = self._chosen.choose("ray_client")
            supervisor.keep(head_spec(self._around, self._ray_port, client_port, cpus))
            await supervisor.wait_until(RAY, lambda: _head_serves(supervisor))
            describe(f"head on {LOOPBACK}:{self._ray_port}")

    async def _start_service(self, supervisor: Supervisor, spec: ProcessSpec) -> None:
        async with supervisor.stage(spec.name) as describe:
            supervisor.keep(spec)
            address = {
                COMPILER: f"{LOOPBACK}:{self._ports.compiler}",
                SCHEDULER: f"{LOOPBACK}:{self._ports.scheduler}",
                GATEWAY: f"http://{LOOPBACK}:{self._ports.http}",
            }[spec.name]
            probe = http_ready if spec.name == GATEWAY else grpc_serves
            await supervisor.wait_until(spec.name, lambda: probe(address))
            describe(f"on {address}")

    async def _wait_for_worker(self, supervisor: Supervisor) -> None:
        async with supervisor.stage(WORKER) as describe:
            await supervisor.wait_until(
                SCHEDULER, lambda: any(map(is_ready, find_workers(self.home)))
            )
            describe("a sampler worker is ready")


def _models_of(document: Document, path: Path) -> str:
    names = ", ".join(document["models"])
    return f"{names} ({path})"


def _head_serves(supervisor: Supervisor) -> bool:
    head = supervisor.identity(RAY)
    return head is not None and ray_head.serves(head)
