"""Whether a mesh that runs also serves, asked of each part as the stages of its start did."""

import time
from collections.abc import Callable

from formwork.scheduler.v1 import scheduler_pb2

from infra.errors import SetupError
from infra.home import Home
from infra.plan import COMPILER, GATEWAY, SCHEDULER
from infra.ports import LOOPBACK, Ports
from infra.probes import grpc_serves, http_ready, is_ready, list_workers
from infra.state import MeshState

WORKER = "worker"
# A Ray head that is started again has a worker that serves after some 35 s; twice that.
_READY_SECONDS = 75.0
_POLL_SECONDS = 0.5


def find_workers(home: Home) -> list[scheduler_pb2.Worker]:
    """Return the workers that the home's scheduler knows, none where it does not answer."""
    try:
        token = (home.secrets / "mesh.token").read_text(encoding="ascii").strip()
    except OSError:
        return []  # the mesh is being started for the first time
    return list_workers(_address(home, SCHEDULER), token)


def find_unready(home: Home, state: MeshState) -> list[str]:
    """Return the names of the parts that do not serve; a worker is one of them."""
    serves = {
        SCHEDULER: grpc_serves(_address(home, SCHEDULER)),
        COMPILER: grpc_serves(_address(home, COMPILER)),
        GATEWAY: http_ready(f"http://{LOOPBACK}:{state.http_port}"),
        WORKER: any(map(is_ready, find_workers(home))),
    }
    return [name for name, is_serving in serves.items() if not is_serving]


def wait_until_ready(
    home: Home, state: MeshState, say: Callable[[str], None], seconds: float = _READY_SECONDS
) -> None:
    """Return once every part serves: what was lost a moment ago is being started again.

    Raises:
        SetupError: One does not in time; says what to do.
    """
    deadline = time.monotonic() + seconds
    waits_for: list[str] = []
    while unready := find_unready(home, state):
        if unready != waits_for:
            say(f"  not ready: {', '.join(unready)}; waiting, {seconds:.0f} s at most")
            waits_for = unready
        if time.monotonic() >= deadline:
            raise SetupError(f"not ready: {', '.join(unready)}; {way_out(home)}")
        time.sleep(_POLL_SECONDS)


def way_out(home: Home) -> str:
    """Return what to do about a mesh that does not serve, the end of a line."""
    return (
        "`make down`, then `make run`, starts all of it anew "
        f"(what happened: scheduler.log, ray.log and supervisor.log in {home.log})"
    )


def _address(home: Home, service: str) -> str:
    return f"{LOOPBACK}:{Ports(home.run / 'ports.json').find(service) or 0}"
