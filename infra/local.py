"""The mesh on this machine: `python -m infra.local run`, `status` and `down`."""

import argparse
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from infra.client_env import ensure_client_env
from infra.database import find_external, service_url
from infra.doctor import read_http_port
from infra.errors import SetupError
from infra.first_request import describe_answer, describe_request, send_first_request
from infra.home import HOME_VARIABLE, Home, find_home
from infra.launch import Say, find_running, start_mesh, stop_mesh
from infra.plan import GATEWAY, POSTGRES
from infra.ports import LOOPBACK, Ports
from infra.readiness import find_unready, wait_until_ready, way_out
from infra.status import describe_mesh


def run(home: Home, environment: Mapping[str, str], say: Say) -> None:
    """Bring the home's mesh up unless it is, send it a request, and say how to call it.

    Raises:
        SetupError: One line that says what to do.
    """
    say(f"the mesh of {home.folder}")
    wanted = read_http_port(environment)
    state = start_mesh(home, environment, wanted, say)
    if state.http_port != wanted:
        say(f"  it listens on port {state.http_port}: `make down` first to move it to {wanted}")
    wait_until_ready(home, state, say)
    base_url = f"http://{LOOPBACK}:{state.http_port}/v1"
    key = _ensure_key(home, environment, base_url, say)
    say(f"\nrequest\n{describe_request()}\n\nanswer")
    try:
        say(describe_answer(send_first_request(base_url, key)))
    except SetupError as error:
        raise SetupError(f"{error}; {way_out(home)}") from error
    say(_how_to(home.client_env, base_url, environment))


def status(home: Home, say: Say) -> None:
    """Say which processes the home's mesh has, and whether they serve.

    Raises:
        SetupError: Some part does not.
    """
    state = find_running(home)
    if state is None:
        raise SetupError(f"nothing runs in {home.folder}: `make run` starts it")
    say(f"the mesh of {home.folder}, http://{LOOPBACK}:{state.http_port}")
    for line in describe_mesh(home, state):
        say(line)
    unready = find_unready(home, state)
    if unready:
        raise SetupError(f"not ready: {', '.join(unready)}; where it stays so, {way_out(home)}")


def down(home: Home, say: Say) -> None:
    """Stop the home's mesh and keep its data.

    Raises:
        SetupError: It cannot be stopped.
    """
    started = time.monotonic()
    stopped = stop_mesh(home)
    if not stopped:
        say(f"nothing runs in {home.folder}")
        return
    seconds = time.monotonic() - started
    say(f"stopped {', '.join(stopped)} in {seconds:.1f} s; the data stays in {home.folder}")


def _ensure_key(home: Home, environment: Mapping[str, str], base_url: str, say: Say) -> str:
    port = Ports(home.run / "ports.json").find(POSTGRES) or 0
    database = service_url(home, GATEWAY, find_external(environment), port)
    key, is_new = ensure_client_env(home.client_env, base_url, database)
    say(f"  {'key':<14} {'new' if is_new else 'kept':>8}  {home.client_env}")
    return key


def _how_to(client_env: Path, base_url: str, environment: Mapping[str, str]) -> str:
    named = environment.get(HOME_VARIABLE)
    down_command = f"{HOME_VARIABLE}={named} make down" if named else "make down"
    return f"""
call it
  set -a; . {client_env}; set +a
  curl $OPENAI_BASE_URL/chat/completions -H "Authorization: Bearer $OPENAI_API_KEY" \\
    -H 'Content-Type: application/json' \\
    -d '{{"model": "formwork-mini", "messages": [{{"role": "user", "content": "Hello"}}]}}'
  {Path(sys.executable).with_name("formwork")} chat "Hello"
  any OpenAI SDK: it reads these two variables
documentation  {base_url.removesuffix("/v1")}/docs
stop it        {down_command}"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(prog="infra.local", description=__doc__)
    parser.add_argument("command", choices=("run", "down", "status", "client-env"))
    command = parser.parse_args(arguments).command
    home = find_home()
    try:
        if command == "run":
            run(home, os.environ, _print)
        elif command == "down":
            down(home, _print)
        elif command == "status":
            status(home, _print)
        else:
            _print(str(home.client_env))
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
