"""A real PostgreSQL, and a whole real mesh, for tests, in temporary homes."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from infra.client_env import create_key
from infra.configuration import BUILT_IN_FOLDER, BUILT_IN_MODEL, to_toml
from infra.database import service_url
from infra.home import Home, ensure_home, write_private
from infra.launch import start_mesh, stop_mesh
from infra.migrate import migrate
from infra.plan import POSTGRES, RAY
from infra.ports import LOOPBACK, Ports
from infra.postgres import EmbeddedPostgres, open_embedded, stop_server
from infra.process_table import Identity, find_living
from infra.roles import DatabaseAccess, ensure_database
from infra.state import find_state
from infra.urls import Url


@dataclass(frozen=True)
class PostgresForTests:
    """A running, migrated PostgreSQL."""

    server: EmbeddedPostgres
    access: DatabaseAccess
    home: Home

    def url(self, role: str) -> str:
        """Return the URL of `owner`, `gateway`, `compiler` or `scheduler`."""
        return self.access.url(role)


# Outlives tests that are killed, and then does what they could not; costs nothing while it waits.
_GUARDIAN = """\
import sys
if sys.stdin.read() != "done":
    from infra.testing import remove_home
    remove_home(sys.argv[1])
"""


@contextmanager
def temporary_home() -> Iterator[Home]:
    """Yield a home in a short temporary folder that another user may pass through.

    What runs in it ends with it, also when the tests are killed.
    """
    folder = Path(tempfile.mkdtemp(prefix="fw-"))
    home = Home(folder)
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", _GUARDIAN, str(folder)],
        stdin=subprocess.PIPE,
        text=True,
        cwd="/",
        start_new_session=True,
    ) as guardian:
        try:
            ensure_home(home)
            yield home
        finally:
            remove_home(str(folder))
            guardian.communicate("done")


def remove_home(folder: str) -> None:
    """Stop what runs in a home, and remove it."""
    home = Home(Path(folder))
    stop_mesh(home)
    stop_server(home.postgres / "data")
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def temporary_postgres() -> Iterator[PostgresForTests]:
    """Yield an embedded PostgreSQL, migrated to the newest revision, stopped at the end."""
    with temporary_home() as home:
        server = open_embedded(
            home, Ports(home.run / "ports.json").choose("postgres"), durable=False
        )
        with (home.log / "postgres.log").open("wb") as log:
            process = server.start(log)
        try:
            server.wait_until_ready(process)
            access = ensure_database(server.admin_url(), home)
            migrate(access.owner)
            yield PostgresForTests(server, access, home)
        finally:
            stop_server(server.data)
            process.wait()


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def wait_until(happens: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Return when something holds, looking often.

    Raises:
        AssertionError: It does not in time.
    """
    deadline = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.02)


@dataclass(frozen=True)
class MeshForTests:
    """A running mesh: every process is a real one."""

    home: Home
    http_port: int

    @property
    def base_url(self) -> str:
        """What an OpenAI client is given."""
        return f"http://{LOOPBACK}:{self.http_port}/v1"

    def create_key(self) -> str:
        """Return a new key of the project `default`."""
        return create_key(self.database("gateway"))

    def database(self, service: str) -> Url:
        """Return the database's URL for a service."""
        port = Ports(self.home.run / "ports.json").find(POSTGRES) or 0
        return service_url(self.home, service, None, port)

    def process(self, name: str) -> psutil.Process:
        """Return the supervised process of that name, once it lives."""
        found: list[psutil.Process] = []

        def find() -> bool:
            found[:] = [p for p in [find_living(self.identity(name))] if p is not None]
            return bool(found)

        wait_until(find, f"{name} runs")
        return found[0]

    def workers(self) -> list[psutil.Process]:
        """Return the sampler workers' processes."""
        head = find_living(self.identity(RAY))
        processes = head.children(recursive=True) if head is not None else []
        return [process for process in processes if _title(process).startswith("ray::WorkerHost")]

    def identity(self, name: str) -> Identity:
        """Return who a supervised process was when it was last started."""
        state = find_state(self.home.run / "state.json")
        assert state is not None  # noqa: S101 - a mesh for tests runs
        return state.children[name].identity


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def write_test_model(folder: Path) -> None:
    """Make the built-in model with few layers and random weights: enough to obey every schema."""
    # Imported here: a database for tests needs no torch.
    from sampler_service.testing_models import make_model_folder  # noqa: PLC0415

    config = json.loads((BUILT_IN_FOLDER / "config.json").read_text(encoding="utf-8"))
    make_model_folder(folder, changes={**config, "num_hidden_layers": 2})
    for path in BUILT_IN_FOLDER.iterdir():
        if path.suffix != ".safetensors" and path.name != "config.json":
            shutil.copy(path, folder)


@contextmanager
def temporary_mesh(
    configuration: Mapping[str, Mapping[str, object]], *, trained: bool = False
) -> Iterator[MeshForTests]:
    """Yield a mesh with a small model, stopped at the end.

    Args:
        configuration: Sections laid over what the launcher generates.
        trained: Whether the model is the built-in one, rather than one with random weights.
    """
    with temporary_home() as home:
        models: dict[str, object] = {}
        if not trained:
            write_test_model(home.folder / "model")
            models[BUILT_IN_MODEL] = {"folder": str(home.folder / "model")}
        models |= configuration.get("models", {})
        write_private(home.folder / "formwork.toml", to_toml({**configuration, "models": models}))
        mesh = MeshForTests(home, free_port())
        start_mesh(home, _bare_environment(), mesh.http_port, lambda _line: None)
        yield mesh


def _bare_environment() -> dict[str, str]:
    foreign = ("FORMWORK_", "RAY_", "OPENAI_", "DATABASE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
