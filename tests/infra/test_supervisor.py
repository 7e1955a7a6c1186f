import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.errors import SetupError
from infra.process_table import Identity, find_living, identify
from infra.processes import ProcessSpec
from infra.state import MeshState, StageStatus, StateFile, find_state
from infra.supervisor import Supervisor, run_command
from infra.testing import wait_until
from mesh.clock import SystemClock
from mesh.testing import FakeClock


class Supervision:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "state.json"
        self.folder = folder
        me = Identity(os.getpid(), 0.0)
        self.supervisor = Supervisor(StateFile(self.path, MeshState(me, 8080)), SystemClock())

    def spec(self, name: str, code: str) -> ProcessSpec:
        command = (sys.executable, "-c", code)
        return ProcessSpec(name, command, {"PATH": os.defpath}, self.folder / f"{name}.log")

    def state(self) -> MeshState:
        state = find_state(self.path)
        assert state is not None
        return state


@pytest.fixture
async def supervision(tmp_path: Path) -> AsyncIterator[Supervision]:
    supervision = Supervision(tmp_path)
    running = asyncio.create_task(supervision.supervisor.run())
    yield supervision
    await supervision.supervisor.stop(["a", "b"])
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_is_kept_is_written_down_and_can_be_found(supervision: Supervision) -> None:
    supervisor = supervision.supervisor
    supervisor.keep(supervision.spec("a", "import time; time.sleep(600)"))
    await supervisor.wait_until("a", lambda: supervisor.identity("a") is not None)
    written = supervision.state().children["a"].identity
    assert find_living(written) is not None
    await supervisor.stop(["a", "never started"])
    assert find_living(written) is None


async def test_a_process_that_keeps_ending_says_its_last_words(supervision: Supervision) -> None:
    supervision.supervisor.keep(supervision.spec("b", "raise SystemExit('no such model')"))
    with pytest.raises(SetupError, match=r"b keeps ending, status 1: no such model \(all of it: "):
        await supervision.supervisor.wait_until("b", lambda: False)


async def test_a_process_that_is_never_ready_is_named(supervision: Supervision) -> None:
    supervision.supervisor.keep(supervision.spec("a", "import time; time.sleep(600)"))
    with pytest.raises(SetupError, match=r"a is not ready after 0 s: see .*a\.log"):
        await supervision.supervisor.wait_until("a", lambda: False, seconds=0.0)


@pytest.mark.parametrize("then", ["", "time.sleep(600)"])
async def test_a_command_leaves_no_process_behind(tmp_path: Path, then: str) -> None:
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\n" + then
    )
    path = tmp_path / "command.log"
    command = (sys.executable, "-c", code)
    environment = {"PATH": os.defpath}
    # Long enough for the child to be started, also on a busy machine.
    await run_command(ProcessSpec("command", command, environment, path, stop_seconds=3.0))
    child = identify(int(path.read_text())) or Identity(0, 0.0)
    await asyncio.to_thread(wait_until, lambda: find_living(child) is None, "the child is gone", 5)


async def test_stages_are_timed_and_described(tmp_path: Path) -> None:
    clock = FakeClock()
    path = tmp_path / "state.json"
    supervisor = Supervisor(StateFile(path, MeshState(Identity(1, 0.0), 8080)), clock)
    async with supervisor.stage("database") as describe:
        state = find_state(path)
        assert state is not None
        assert state.stages["database"].status is StageStatus.RUNNING
        await clock.advance(1.5)
        describe("PostgreSQL")
    with pytest.raises(SetupError):
        async with supervisor.stage("ray"):
            raise SetupError("no ray here")
    state = find_state(path)
    assert state is not None
    done, failed = state.stages["database"], state.stages["ray"]
    assert (done.status, done.seconds, done.detail) == (StageStatus.DONE, 1.5, "PostgreSQL")
    assert (failed.status, failed.detail) == (StageStatus.FAILED, "no ray here")


def test_a_torn_state_is_no_state(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"supervisor": {"pid"')
    assert find_state(tmp_path / "state.json") is None
