"""`make run` and `make down` as a newcomer types them, with the built-in model."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra.home import Home
from infra.process_table import find_living
from infra.state import MeshState, find_state
from infra.testing import free_port, temporary_home, wait_until


class Operator:
    """Somebody at a terminal, with a home of their own."""

    def __init__(self, home: Home, port: int) -> None:
        self.home = home
        self.port = port

    def types(self, command: str) -> subprocess.CompletedProcess[str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        named = {"FORMWORK_HOME": str(self.home.folder), "FORMWORK_HTTP_PORT": str(self.port)}
        return subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", "infra.local", command],
            env=kept | named,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    def state(self) -> MeshState:
        state = find_state(self.home.run / "state.json")
        assert state is not None
        return state


@pytest.fixture(scope="module")
def operator() -> Iterator[Operator]:
    with temporary_home() as home:
        operator = Operator(home, free_port())
        yield operator
        operator.types("down")


@pytest.fixture(scope="module")
def first_run(operator: Operator) -> str:
    answer = operator.types("run")
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_run_shows_stages_the_answer_and_where_the_time_went(
    operator: Operator, first_run: str
) -> None:
    for stage in ("database", "configuration", "ray", "compiler", "scheduler", "gateway", "worker"):
        assert re.search(rf"^  {stage} +\d+\.\d s  ", first_run, re.MULTILINE), stage
    assert re.search(r'^ +"guests": \d+', first_run, re.MULTILINE)
    assert re.search(r"usage \d+ prompt \+ \d+ completion tokens", first_run)
    assert re.search(r"queue [\d.]+ ms, compile [\d.]+ ms, prefill [\d.]+ ms, decode", first_run)
    assert f"FORMWORK_HOME={operator.home.folder} make down" in first_run


@pytest.mark.usefixtures("first_run")
def test_client_env_is_the_operators_own(operator: Operator) -> None:
    path = operator.home.client_env
    assert path.stat().st_mode & 0o777 == 0o600
    lines = path.read_text().splitlines()
    assert lines[0] == f"OPENAI_BASE_URL=http://127.0.0.1:{operator.port}/v1"
    assert lines[1].startswith("OPENAI_API_KEY=sk-proj-")


@pytest.mark.usefixtures("first_run")
def test_nothing_of_the_mesh_is_reached_from_outside(operator: Operator) -> None:
    supervisor = find_living(operator.state().supervisor)
    assert supervisor is not None
    listening = [
        connection.laddr[0]
        for process in supervisor.children(recursive=True)
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) > 5
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


@pytest.mark.usefixtures("first_run")
def test_a_second_run_says_so_keeps_the_key_and_asks_again(operator: Operator) -> None:
    before = operator.home.client_env.read_text()
    answer = operator.types("run")
    assert answer.returncode == 0, answer.stderr
    assert "already running" in answer.stdout
    assert '"guests"' in answer.stdout
    assert operator.home.client_env.read_text() == before


@pytest.mark.usefixtures("first_run")
def test_status_lists_every_process_by_its_id(operator: Operator) -> None:
    answer = operator.types("status")
    assert answer.returncode == 0, answer.stderr
    for name, child in operator.state().children.items():
        assert re.search(rf"^  {name} +{child.identity.pid}  ready", answer.stdout, re.MULTILINE)
    found = re.search(r"^  worker +(\d+)  ready +formwork-mini", answer.stdout, re.MULTILINE)
    assert found is not None
    assert psutil.Process(int(found[1])).cmdline()[0].startswith("ray::WorkerHost")


@pytest.mark.usefixtures("first_run")
def test_a_second_mesh_on_the_same_port_is_one_clear_line(operator: Operator) -> None:
    with temporary_home() as other:
        answer = Operator(other, operator.port).types("run")
    assert answer.returncode == 1
    [line] = answer.stderr.splitlines()
    assert re.fullmatch(r"formwork: port \d+ is taken .*: set FORMWORK_HTTP_PORT to .*", line)


@pytest.mark.usefixtures("first_run")
def test_run_cleans_up_after_a_supervisor_that_was_killed_and_down_stops_all(
    operator: Operator,
) -> None:
    old = operator.state()
    supervisor = find_living(old.supervisor)
    assert supervisor is not None
    family = supervisor.children(recursive=True)
    supervisor.kill()
    wait_until(lambda: find_living(old.supervisor) is None, "the supervisor is gone")
    answer = operator.types("run")
    assert answer.returncode == 0, answer.stderr
    assert not any(process.is_running() for process in family if _is_ours(process, old))

    family = _family(operator)
    answer = operator.types("down")
    assert answer.returncode == 0, answer.stderr
    wait_until(lambda: not any(p.is_running() for p in family), "every process is gone")
    assert operator.home.client_env.exists()
    assert "nothing runs" in operator.types("down").stdout


def _family(operator: Operator) -> list[psutil.Process]:
    supervisor = find_living(operator.state().supervisor)
    assert supervisor is not None
    return [supervisor, *supervisor.children(recursive=True)]


def _is_ours(process: psutil.Process, state: MeshState) -> bool:
    return process.pid in {child.identity.pid for child in state.children.values()}


def test_a_model_that_is_not_there_is_one_clear_line_and_leaves_nothing(tmp_path: Path) -> None:
    with temporary_home() as home:
        (home.folder / "formwork.toml").write_text(f'[models.mine]\nfolder = "{tmp_path}"\n')
        operator = Operator(home, free_port())
        answer = operator.types("run")
        state = operator.state()
    assert answer.returncode == 1
    assert re.fullmatch(r"formwork: models\.mine: .* lacks config\.json.*\n", answer.stderr)
    assert not any(find_living(child.identity) for child in state.children.values())
