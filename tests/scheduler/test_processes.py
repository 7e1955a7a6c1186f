"""The scheduler as a process, with real workers: one contract, kept by both launchers."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

import grpc
import psutil
import pytest
from formwork.scheduler.v1 import scheduler_pb2 as pb
from formwork.scheduler.v1 import scheduler_pb2_grpc as rpc
from formwork_engine import load_vocabulary

from infra.home import Home, ensure_secret
from infra.ports import LOOPBACK, Ports
from infra.probes import grpc_serves
from infra.ray_head import clear_folder, folder_of, head_command, ray_environment
from infra.testing import PostgresForTests, temporary_home
from sampler_service.testing_models import make_model_folder

T = TypeVar("T")

READY_SECONDS = 90.0
SNAPSHOT = "tiny-1"
QUIET = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


@dataclass
class Yard:
    """A home with a configuration, and the scheduler's process in it."""

    home: Home
    head: "RayHead | None"
    port: int
    environment: dict[str, str]
    log: IO[bytes]
    process: subprocess.Popen[bytes] | None = None
    channel: grpc.Channel = field(init=False)

    def __post_init__(self) -> None:
        self.channel = grpc.insecure_channel(f"{LOOPBACK}:{self.port}")

    def start(self) -> None:
        self.process = self._run("scheduler.main")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the scheduler a signal; return its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(30)
        self.process = None
        return status

    def stop_workers(self) -> int:
        return self._run("scheduler.stop_workers").wait(60)

    def find_ready(self, besides: str = "") -> pb.Worker | None:
        """Return the worker, once it is ready, at another address than `besides`."""
        try:
            answer = rpc.SchedulerServiceStub(self.channel).ListWorkers(
                pb.ListWorkersRequest(), timeout=2, metadata=self._token()
            )
        except grpc.RpcError:
            return None
        ready = [
            worker
            for worker in answer.workers
            if worker.state == pb.WORKER_STATE_READY and worker.worker_address != besides
        ]
        return ready[0] if ready else None

    def acquire(self) -> pb.AcquireResponse:
        request = pb.AcquireRequest(
            request_id="req_1", project_id="p", key_id="k", snapshot=SNAPSHOT, choices=1
        )
        answer: pb.AcquireResponse = rpc.SchedulerServiceStub(self.channel).Acquire(
            request, timeout=30, metadata=self._token(), wait_for_ready=True
        )
        return answer

    def settle(self, lease: pb.SignedLease) -> bool:
        counts = pb.TokenCounts(prompt_tokens=1, completion_tokens=2)
        request = pb.SettleRequest(lease=lease, counts=counts, outcome=pb.OUTCOME_COMPLETED)
        answer = rpc.SchedulerServiceStub(self.channel).Settle(
            request, timeout=30, metadata=self._token(), wait_for_ready=True
        )
        return bool(answer.charged)

    def _token(self) -> tuple[tuple[str, str], ...]:
        token = (self.home.secrets / "mesh.token").read_text().strip()
        return (("authorization", f"Bearer {token}"),)

    def _run(self, module: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", module],
            env=self.environment,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )


def eventually(find: Callable[[], T | None], seconds: float = READY_SECONDS) -> T:
    """Return what `find` finds, in the end."""
    deadline = time.monotonic() + seconds
    while (found := find()) is None or found is False:
        if time.monotonic() > deadline:
            pytest.fail("did not happen in time")
        time.sleep(0.1)
    return found


def pid_of(address: str) -> int:
    """Return the process that listens on `host:port`."""
    port = int(address.rsplit(":", 1)[1])
    return next(
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
        and connection.laddr.port == port
        and connection.pid
    )


def write_configuration(home: Home, launcher: str, port: int, model: Path) -> Path:
    for name in ("mesh.token", "lease.key"):
        ensure_secret(home.secrets / name)
    path = home.run / "formwork.toml"
    path.write_text(f"""
[mesh]
token_file = "{home.secrets}/mesh.token"
lease_key_file = "{home.secrets}/lease.key"
scheduler_address = "{LOOPBACK}:{port}"
compiler_address = "{LOOPBACK}:1"
drain_seconds = 2.0

[scheduler]
launcher = "{launcher}"
worker_stop_seconds = 5.0

[sampler]
slots = 2
parked_slots = 2
spool_folder = "{home.folder}/spool"

[models.{SNAPSHOT}]
folder = "{model}"
tokenizer_fingerprint = "{load_vocabulary(model).fingerprint}"
device = "cpu"
context = 128
""")
    return path


class RayHead:
    """A Ray head on free ports; started again it is a new cluster at the same address."""

    def __init__(self, home: Home, ports: Ports) -> None:
        self._home = home
        self._port, self._client_port = ports.choose("ray"), ports.choose("ray_client")
        self.environment = ray_environment(home, self._port)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        folder = folder_of(self._home)
        clear_folder(folder)
        command = head_command(folder, self._port, self._client_port, 4)
        base = {"PATH": os.environ["PATH"], "HOME": str(self._home.folder), **QUIET}
        with (self._home.log / "ray.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                command,
                env=base | self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(lambda: listens(self._port))

    def stop(self) -> None:
        if self._process is not None:
            end_tree(self._process)
            self._process = None


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def end_tree(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        children = []
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
    _, alive = psutil.wait_procs(children, timeout=5)
    for child in alive:
        child.kill()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(params=["local", "ray"])
def yard(request: pytest.FixtureRequest, postgres: PostgresForTests, model: Path) -> Iterator[Yard]:
    with ExitStack() as stack:
        home = stack.enter_context(temporary_home())
        ports = Ports(home.run / "ports.json")
        port = ports.choose("scheduler")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home.folder),
            "DATABASE_URL": postgres.url("scheduler"),
            "FORMWORK_CONFIG": str(write_configuration(home, request.param, port, model)),
            "FORMWORK_HOME": str(home.folder),
            **QUIET,
        }
        head = None
        if request.param == "ray":
            head = RayHead(home, ports)
            stack.callback(head.stop)
            head.start()
            environment |= head.environment
        log = stack.enter_context((home.log / "scheduler.log").open("wb"))
        yard = Yard(home, head, port, environment, log)
        stack.callback(yard.channel.close)
        yard.start()
        try:
            yield yard
        finally:
            if yard.process is not None:
                end_tree(yard.process)
            if request.node.rep_failed:
                sys.stderr.write((home.log / "scheduler.log").read_text()[-4000:])


def test_workers_are_started_watched_replaced_and_stopped(yard: Yard) -> None:
    worker = eventually(yard.find_ready)
    assert worker.worker_id == f"{SNAPSHOT}-0"
    assert grpc_serves(worker.worker_address)

    granted = yard.acquire()
    assert granted.worker_address == worker.worker_address
    assert yard.settle(granted.lease) is True
    assert yard.settle(granted.lease) is False

    pid = pid_of(worker.worker_address)
    environment = psutil.Process(pid).environ()
    assert "DATABASE_URL" not in environment
    os.kill(pid, signal.SIGKILL)
    successor = eventually(lambda: yard.find_ready(besides=worker.worker_address))
    assert successor.worker_id == worker.worker_id
    assert pid_of(successor.worker_address) != pid
    assert grpc_serves(successor.worker_address)

    if yard.head is not None:
        assert_a_killed_scheduler_finds_its_workers_again(yard, successor)
        successor = assert_a_new_head_gets_new_workers(yard, yard.head, successor)
    assert yard.stop() == 0
    assert grpc_serves(successor.worker_address) is (yard.head is not None)
    assert yard.stop_workers() == 0
    eventually(lambda: not grpc_serves(successor.worker_address))


def assert_a_killed_scheduler_finds_its_workers_again(yard: Yard, worker: pb.Worker) -> None:
    held = yard.acquire()
    yard.stop(signal.SIGKILL)
    assert grpc_serves(worker.worker_address)
    yard.start()
    again = eventually(yard.find_ready)
    assert again.worker_address == worker.worker_address
    assert yard.settle(held.lease) is True
    assert yard.acquire().worker_address == worker.worker_address


def assert_a_new_head_gets_new_workers(yard: Yard, head: RayHead, worker: pb.Worker) -> pb.Worker:
    assert yard.process is not None
    head.stop()
    eventually(lambda: not grpc_serves(worker.worker_address))  # it ended with its node
    head.start()
    successor = eventually(lambda: yard.find_ready(besides=worker.worker_address))
    assert yard.process.poll() is None
    return successor


def test_without_an_address_of_ray_the_scheduler_says_what_to_do(
    tmp_path: Path, postgres: PostgresForTests, model: Path
) -> None:
    with temporary_home() as home:
        configuration = write_configuration(home, "ray", 1, model)
        answer = subprocess.run(
            [sys.executable, "-m", "scheduler.main"],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "DATABASE_URL": postgres.url("scheduler"),
                "FORMWORK_CONFIG": str(configuration),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert answer.returncode == 2
    assert answer.stderr.startswith("scheduler: scheduler.ray_address is empty")
    assert "Traceback" not in answer.stderr
