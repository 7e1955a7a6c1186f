"""`make status`: the processes of a mesh, and whether each of them serves."""

import contextlib
from collections.abc import Iterable, Iterator

import psutil
from formwork.scheduler.v1 import scheduler_pb2

from infra.home import Home
from infra.probes import is_ready
from infra.process_table import find_living
from infra.readiness import find_unready, find_workers
from infra.state import ChildState, MeshState


def describe_mesh(home: Home, state: MeshState) -> Iterator[str]:
    """Yield a line for each process: its name, its id, whether it serves, and its log."""
    unready = set(find_unready(home, state))
    yield _line("supervisor", state.supervisor.pid, "runs", str(home.log / "supervisor.log"))
    for name, child in state.children.items():
        yield _line(
            name,
            child.identity.pid,
            _condition(name, child, unready),
            str(home.log / name) + ".log",
        )
    supervisor = find_living(state.supervisor)
    family = supervisor.children(recursive=True) if supervisor is not None else []
    workers = find_workers(home)
    for worker in workers:
        pid = find_listener(family, worker.worker_address)
        yield _line("worker", pid, "ready" if is_ready(worker) else "not ready", _facts(worker))
    if not workers:
        yield _line("worker", None, "none")


def find_listener(processes: Iterable[psutil.Process], address: str) -> int | None:
    """Return the id of the process that listens on `host:port`."""
    port = address.rpartition(":")[2]
    for process in processes if port.isdecimal() else ():
        with contextlib.suppress(psutil.Error):
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr[1] == int(port):
                    return process.pid
    return None


def _condition(name: str, child: ChildState, unready: set[str]) -> str:
    if find_living(child.identity) is None:
        condition = "ended"
    else:
        condition = "not ready" if name in unready else "ready"
    times = child.restarts
    return f"{condition}, restarted {times}x" if times else condition


def _facts(worker: scheduler_pb2.Worker) -> str:
    return f"{worker.worker_id}, {worker.load.slots_used} of {worker.load.slots} slots used"


def _line(name: str, pid: int | None, condition: str, facts: str = "") -> str:
    return f"  {name:<12} {pid or '-':>8}  {condition:<22} {facts}".rstrip()
