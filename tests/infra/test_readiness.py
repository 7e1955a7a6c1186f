import os
import socket
from pathlib import Path

import psutil
import pytest

from infra.errors import SetupError
from infra.home import Home, ensure_home
from infra.process_table import Identity
from infra.readiness import find_unready, wait_until_ready
from infra.state import ChildState, MeshState
from infra.status import describe_mesh, find_listener
from infra.testing import free_port

PARTS = ["scheduler", "compiler", "gateway", "worker"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    ensure_home(home)
    return home


@pytest.fixture
def state() -> MeshState:
    """A supervisor that lives, over services that do not serve."""
    state = MeshState(Identity(os.getpid(), psutil.Process().create_time()), free_port())
    state.children["gateway"] = ChildState(state.supervisor, 15)
    state.children["ray"] = ChildState(Identity(os.getpid(), 0.0), 15, restarts=2)
    return state


def test_what_does_not_serve_is_named(home: Home, state: MeshState) -> None:
    assert find_unready(home, state) == PARTS


def test_a_mesh_that_is_never_ready_ends_with_what_to_do(home: Home, state: MeshState) -> None:
    said: list[str] = []
    with pytest.raises(SetupError, match=r"^not ready: .*worker; `make down`, then `make run`,"):
        wait_until_ready(home, state, said.append, seconds=0.1)
    assert said == [f"  not ready: {', '.join(PARTS)}; waiting, 0 s at most"]


def test_the_status_tells_ready_ended_and_started_again_apart(home: Home, state: MeshState) -> None:
    lines = {line.split()[0]: line for line in describe_mesh(home, state)}
    assert f" {os.getpid()}  not ready" in lines["gateway"]
    assert "ended, restarted 2x" in lines["ray"]
    assert lines["worker"].split() == ["worker", "-", "none"]


def test_a_process_is_found_by_where_it_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert find_listener([psutil.Process()], f"127.0.0.1:{port}") == os.getpid()
    assert find_listener([psutil.Process()], f"127.0.0.1:{port}") is None
