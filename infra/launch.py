"""Starting and stopping a home's mesh: the supervisor, seen from outside."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

from infra.daemon import LOCK_NAME, STATE_NAME
from infra.doctor import check_machine, check_port
from infra.errors import SetupError
from infra.home import HOME_VARIABLE, Home
from infra.leftovers import end_leftovers
from infra.locks import find_lock, is_locked
from infra.logfiles import open_log, tail
from infra.process_table import Identity, find_living, identify
from infra.state import MeshState, Stage, StageStatus, find_state

_START_SECONDS = 300.0
_STOP_SECONDS = 120.0
_POLL_SECONDS = 0.1

_DETACH = """\
import subprocess, sys
daemon = subprocess.Popen(sys.argv[1:], stdout=sys.stderr, start_new_session=True)
sys.stdout.write(str(daemon.pid))
"""

Say = Callable[[str], None]


def start_mesh(home: Home, environment: Mapping[str, str], http_port: int, say: Say) -> MeshState:
    """Return the home's mesh once it is up: started, or found running.

    Args:
        home: The home; its folders are made.
        environment: Of the mesh's processes.
        http_port: Where a mesh that is started listens.
        say: Gets a line for each stage.

    Raises:
        SetupError: One line that says what to do.
    """
    check_machine(home)
    launching = find_lock(home.run / "launch.lock")
    if launching is None:
        raise SetupError(f"another `make run` is starting the mesh in {home.folder}: wait for it")
    try:
        state = find_running(home)
        if state is not None:
            say(f"already running in {home.folder} (supervisor: process {state.supervisor.pid})")
            return state if state.is_up else _follow(home, state, say)
        left = _end_leftovers(home)
        if left:
            say(f"  ended what a killed supervisor had left: {', '.join(left)}")
        check_port(http_port)
        return _start(home, environment, http_port, say)
    finally:
        launching.release()


def stop_mesh(home: Home) -> list[str]:
    """Stop the home's mesh; return the names of what ran, none if nothing did.

    Raises:
        SetupError: It was started again meanwhile.
    """
    if not home.run.exists():
        return []
    state = find_running(home)
    if state is not None:
        _end_supervisor(home, state)
    ended = _end_leftovers(home)
    return list(state.children) if state is not None else ended


def find_running(home: Home) -> MeshState | None:
    """Return the state of a living supervisor."""
    deadline = time.monotonic() + _STOP_SECONDS
    while is_locked(home.run / LOCK_NAME):
        state = find_state(home.run / STATE_NAME)
        if state is not None and find_living(state.supervisor) is not None:
            return state
        # It holds the lock and has written nothing yet: it ends an earlier one's leftovers.
        if time.monotonic() > deadline:
            raise SetupError(f"the supervisor does not come up: see {home.log / 'supervisor.log'}")
        time.sleep(_POLL_SECONDS)
    return None


def _start(home: Home, environment: Mapping[str, str], http_port: int, say: Say) -> MeshState:
    path = home.log / "supervisor.log"
    daemon = _detach(home, environment, http_port)
    deadline = time.monotonic() + _START_SECONDS
    while True:
        state = find_state(home.run / STATE_NAME)
        if state is not None and state.supervisor.pid == daemon.pid:
            return _follow(home, state, say)
        if find_living(daemon) is None:
            raise SetupError(f"the supervisor ended: {tail(path)} (all of it: {path})")
        if time.monotonic() > deadline:
            raise SetupError(f"the supervisor does not come up: see {path}")
        time.sleep(_POLL_SECONDS)


def _detach(home: Home, environment: Mapping[str, str], http_port: int) -> Identity:
    """Start the supervisor as nobody's child: it outlives us, and we need not wait for it."""
    with open_log(home.log / "supervisor.log") as output:
        answer = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", _DETACH, sys.executable, "-m", "infra.daemon", str(http_port)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            cwd="/",
            env={**environment, HOME_VARIABLE: str(home.folder)},
            check=True,
        )
    pid = int(answer.stdout)
    return identify(pid) or Identity(pid, time.time())


def _follow(home: Home, state: MeshState, say: Say) -> MeshState:
    """Say how each stage ends; return once the mesh is up.

    Raises:
        SetupError: A stage failed; the mesh has stopped again.
    """
    said: set[str] = set()
    deadline = time.monotonic() + _START_SECONDS
    while True:
        latest = find_state(home.run / STATE_NAME) or state
        for stage in latest.stages.values():
            if stage.status is not StageStatus.RUNNING and stage.name not in said:
                said.add(stage.name)
                say(_line(stage))
        if latest.is_up:
            return latest
        failed = [s for s in latest.stages.values() if s.status is StageStatus.FAILED]
        if failed:
            _wait_for_end(home)
            raise SetupError(failed[0].detail)
        if find_living(latest.supervisor) is None or time.monotonic() > deadline:
            raise SetupError(f"the mesh did not come up: see {home.log / 'supervisor.log'}")
        time.sleep(_POLL_SECONDS)


def _line(stage: Stage) -> str:
    mark = "failed" if stage.status is StageStatus.FAILED else f"{stage.seconds:5.1f} s"
    return f"  {stage.name:<14} {mark:>8}  {'' if mark == 'failed' else stage.detail}".rstrip()


def _end_supervisor(home: Home, state: MeshState) -> None:
    supervisor = find_living(state.supervisor)
    if supervisor is None:
        return
    supervisor.send_signal(signal.SIGTERM)
    if not _wait_for_end(home):
        supervisor.kill()
        _wait_for_end(home)


def _wait_for_end(home: Home) -> bool:
    """Return whether the supervisor has let go of its lock in time."""
    deadline = time.monotonic() + _STOP_SECONDS
    while is_locked(home.run / LOCK_NAME):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _end_leftovers(home: Home) -> list[str]:
    lock = find_lock(home.run / LOCK_NAME)
    if lock is None:
        raise SetupError("the mesh was started again meanwhile: run `make down` once more")
    try:
        return end_leftovers(home)
    finally:
        lock.release()
