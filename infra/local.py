"""The mesh on this machine: `python -m infra.local run` and `python -m infra.local down`."""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from infra.client_env import ensure_client_env
from infra.daemon import LOCK_NAME, STATE_NAME
from infra.database import find_external, service_url
from infra.doctor import check_machine, check_port, read_http_port
from infra.errors import SetupError
from infra.first_request import describe_answer, describe_request, send_first_request
from infra.home import HOME_VARIABLE, Home, find_home
from infra.leftovers import end_leftovers
from infra.locks import find_lock, is_locked
from infra.logfiles import open_log, tail
from infra.plan import GATEWAY, POSTGRES
from infra.ports import LOOPBACK, Ports
from infra.process_table import find_living
from infra.state import MeshState, Stage, StageStatus, find_state

_START_SECONDS = 300.0
_STOP_SECONDS = 120.0
_POLL_SECONDS = 0.1

Say = Callable[[str], None]


def run(home: Home, environment: Mapping[str, str], say: Say) -> None:
    """Bring the home's mesh up unless it is, send it a request, and say how to call it.

    Raises:
        SetupError: One line that says what to do.
    """
    http_port = read_http_port(environment)
    check_machine(home)
    launching = find_lock(home.run / "launch.lock")
    if launching is None:
        raise SetupError(f"another `make run` is starting the mesh in {home.folder}: wait for it")
    state = _find_running(home)
    if state is None:
        check_port(http_port)
        state = _start(home, environment, http_port, say)
    else:
        say(f"already running (supervisor {state.supervisor.pid})")
        state = _follow(home, state, say)
    launching.release()
    _greet(home, environment, state.http_port, say)


def down(home: Home, say: Say) -> None:
    """Stop the home's mesh and keep its data.

    Raises:
        SetupError: It cannot be stopped.
    """
    started = time.monotonic()
    if not home.run.exists():
        say(f"nothing to stop: there is no mesh in {home.folder}")
        return
    state = _find_running(home)
    if state is not None:
        _end_supervisor(home, state)
    ended = _end_leftovers(home)
    if state is None and not ended:
        say(f"nothing runs in {home.folder}")
        return
    what = "stopped" if state is not None else f"stopped what was left over: {', '.join(ended)}"
    say(f"{what} in {time.monotonic() - started:.1f} s; the data stays in {home.folder}")


def _find_running(home: Home) -> MeshState | None:
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
    say(f"starting the mesh in {home.folder}")
    path = home.log / "supervisor.log"
    with open_log(path) as output:
        daemon = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", "infra.daemon", str(http_port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
            env={**environment, HOME_VARIABLE: str(home.folder)},
        )
    deadline = time.monotonic() + _START_SECONDS
    while True:
        state = find_state(home.run / STATE_NAME)
        if state is not None and state.supervisor.pid == daemon.pid:
            return _follow(home, state, say)
        if daemon.poll() is not None:
            raise SetupError(f"the supervisor ended: {tail(path)} (all of it: {path})")
        if time.monotonic() > deadline:
            raise SetupError(f"the supervisor does not come up: see {path}")
        time.sleep(_POLL_SECONDS)


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


def _greet(home: Home, environment: Mapping[str, str], http_port: int, say: Say) -> None:
    base_url = f"http://{LOOPBACK}:{http_port}/v1"
    database = service_url(
        home,
        GATEWAY,
        find_external(environment),
        Ports(home.run / "ports.json").find(POSTGRES) or 0,
    )
    key, is_new = ensure_client_env(home.client_env, base_url, database)
    say(f"  {'key':<14} {'new' if is_new else 'kept':>8}  {home.client_env}")
    say(f"\nrequest\n{describe_request()}\n\nanswer")
    say(describe_answer(send_first_request(base_url, key)))
    say(_how_to(home.client_env, base_url, environment))


def _how_to(client_env: Path, base_url: str, environment: Mapping[str, str]) -> str:
    named = environment.get(HOME_VARIABLE)
    down_command = f"{HOME_VARIABLE}={named} make down" if named else "make down"
    return f"""
call it
  set -a; . {client_env}; set +a
  curl $OPENAI_BASE_URL/chat/completions -H "Authorization: Bearer $OPENAI_API_KEY" \\
    -H 'Content-Type: application/json' \\
    -d '{{"model": "formwork-mini", "messages": [{{"role": "user", "content": "Hello"}}]}}'
  python -c 'import openai; print(openai.OpenAI().models.list())'
documentation  {base_url.removesuffix("/v1")}/docs
stop it        {down_command}"""


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


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(prog="infra.local", description=__doc__)
    parser.add_argument("command", choices=("run", "down"))
    command = parser.parse_args(arguments).command
    home = find_home()
    try:
        if command == "run":
            run(home, os.environ, _print)
        else:
            down(home, _print)
    except SetupError as error:
        sys.stderr.write(f"formwork: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("formwork: interrupted; `make down` stops what runs\n")
        return 130
    return 0


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
