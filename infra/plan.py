"""Which processes a mesh has, and how each one is run."""

import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra import ray_head
from infra.database import ExternalDatabase, service_environment
from infra.home import HOME_VARIABLE, Home
from infra.postgres import EmbeddedPostgres, clear_stale_pid
from infra.postgres_binaries import program_environment
from infra.processes import ProcessSpec
from infra.roles import DatabaseAccess
from mesh.config import CONFIG_VARIABLE

POSTGRES, RAY = "postgres", "ray"
COMPILER, SCHEDULER, GATEWAY = "compiler", "scheduler", "gateway"
_MODULES = {
    COMPILER: "compiler_service.main",
    SCHEDULER: "scheduler.main",
    GATEWAY: "gateway.main",
}
# Requests end before what serves them; nothing may settle once the database is gone.
STOP_BEFORE_WORKERS = (GATEWAY, SCHEDULER)
STOP_AFTER_WORKERS = (COMPILER, RAY, POSTGRES)

_SECRET_VARIABLES = frozenset({"DATABASE_URL", "DATABASE_DIRECT_URL"})
_SECRET_PREFIXES = ("OPENAI_", "PG")
_DRAIN_SECONDS = 30.0


@dataclass(frozen=True)
class Surroundings:
    """What every process of a mesh shares."""

    home: Home
    environment: Mapping[str, str]
    """Of whoever started the mesh."""
    ray: dict[str, str]
    """Ray's variables; empty where the operator's own lead to a cluster."""

    def common(self) -> dict[str, str]:
        """Return a process's environment without any secret."""
        kept = {
            name: value
            for name, value in self.environment.items()
            if name not in _SECRET_VARIABLES and not name.startswith(_SECRET_PREFIXES)
        }
        return kept | {
            CONFIG_VARIABLE: str(self.home.run / "formwork.toml"),
            HOME_VARIABLE: str(self.home.folder),
            "PYTHONUNBUFFERED": "1",
        }

    def log(self, name: str) -> Path:
        """Return the log of a process."""
        return self.home.log / f"{name}.log"


def postgres_spec(around: Surroundings, server: EmbeddedPostgres) -> ProcessSpec:
    """Return how the embedded PostgreSQL is run: stopped with SIGINT, SIGTERM waits for clients."""
    return ProcessSpec(
        POSTGRES,
        tuple(server.command()),
        program_environment(),
        around.log(POSTGRES),
        user=server.binaries.user,
        stop_signal=signal.SIGINT,
        prepare=lambda: clear_stale_pid(server.data),
    )


def head_spec(around: Surroundings, port: int, client_port: int, cpus: int) -> ProcessSpec:
    """Return how the Ray head is run: without the database's URL, which workers must not have."""
    home = around.home
    folder = ray_head.folder_of(home)
    return ProcessSpec(
        RAY,
        tuple(ray_head.head_command(folder, port, client_port, cpus)),
        around.common() | around.ray,
        around.log(RAY),
        prepare=lambda: ray_head.clear_folder(folder),
        is_well=ray_head.is_whole,
    )


def service_spec(
    around: Surroundings, name: str, access: DatabaseAccess, external: ExternalDatabase | None
) -> ProcessSpec:
    """Return how a service is run."""
    ray = around.ray if name == SCHEDULER else {}
    return ProcessSpec(
        name,
        (sys.executable, "-m", _MODULES[name]),
        around.common() | ray | service_environment(access, name, external),
        around.log(name),
        stop_seconds=_DRAIN_SECONDS,
    )


def stop_workers_spec(around: Surroundings) -> ProcessSpec:
    """Return the command that ends every worker, which outlive the scheduler on purpose."""
    return ProcessSpec(
        "stop_workers",
        (sys.executable, "-m", "scheduler.stop_workers"),
        around.common() | around.ray,
        around.log(SCHEDULER),
    )
