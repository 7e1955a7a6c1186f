"""What launchers do with processes, without Ray: its driver is a stand-in here."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from mesh.config import ConfigError
from mesh.ids import Snapshot, WorkerId
from mesh.models import ModelEntry, ModelTable
from scheduler.config import SchedulerConfig
from scheduler.launcher import LaunchError, worker_environment
from scheduler.launcher_driver import RayWorkerLauncher
from scheduler.launcher_local import LocalWorkerLauncher
from scheduler.launchers import build_launcher
from scheduler.ray_place import RayPlace, driver_environment

W, SNAPSHOT = WorkerId("w-0"), Snapshot("small-1")
PLACE = RayPlace("head:1", "ns", 1.0, 1.0, {SNAPSHOT: "cpu"})
ENVIRONMENT = {"PATH": os.environ["PATH"]}

# A worker that ignores SIGTERM while a file says so.
WORKER = """
import os, signal, sys, time
if os.path.exists(sys.argv[1]):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1] + ".pid", "w").write(str(os.getpid()))
while True:
    time.sleep(0.05)
"""

# A driver that remembers workers; `crash` ends it, `refuse` is an error, `slow` answers last.
DRIVER = """
import json, os, sys
place, workers, late = json.loads(sys.stdin.readline()), set(), []
for line in sys.stdin:
    call = json.loads(line)
    worker, answer = call.get("worker_id"), {"id": call["id"], "answer": None}
    if worker == "crash":
        os._exit(3)
    if worker == "refuse":
        answer = {"id": call["id"], "error": "WrongClusterID"}
    elif call["verb"] == "start":
        workers.add(worker)
    elif call["verb"] == "stop":
        workers.discard(worker)
    else:
        answer["answer"] = sorted(workers) + [place["address"], str(os.getpid())]
    if worker == "slow":
        late.append(answer)
        continue
    for each in [answer, *late]:
        print(json.dumps(each), flush=True)
    late.clear()
"""


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - a real process stands between
            await asyncio.sleep(0.01)


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalWorkerLauncher]:
    launcher = LocalWorkerLauncher(
        ENVIRONMENT, (sys.executable, "-c", WORKER, str(tmp_path / "stubborn"))
    )
    yield launcher
    await launcher.close()


@pytest.fixture
async def driven() -> AsyncIterator[RayWorkerLauncher]:
    launcher = RayWorkerLauncher(PLACE, ENVIRONMENT, (sys.executable, "-c", DRIVER))
    yield launcher
    await launcher.close()


async def test_a_local_worker_is_started_once_and_stopped(
    local: LocalWorkerLauncher, tmp_path: Path
) -> None:
    await local.start(W, SNAPSHOT)
    await until((tmp_path / "stubborn.pid").exists)
    process = local._processes[W]
    await local.start(W, SNAPSHOT)
    assert local._processes[W] is process
    assert await local.list_workers() == {W}
    await local.stop(W, grace_seconds=10)
    assert process.returncode == -15
    assert await local.list_workers() == frozenset()
    await local.stop(W, grace_seconds=10)


async def test_a_local_worker_that_will_not_end_is_killed(
    local: LocalWorkerLauncher, tmp_path: Path
) -> None:
    (tmp_path / "stubborn").touch()
    await local.start(W, SNAPSHOT)
    await until((tmp_path / "stubborn.pid").exists)
    process = local._processes[W]
    await local.stop(W, grace_seconds=0.1)
    assert process.returncode == -9


async def test_a_local_worker_that_dies_is_no_longer_listed(local: LocalWorkerLauncher) -> None:
    await local.start(W, SNAPSHOT)
    process = local._processes[W]
    process.kill()
    await process.wait()
    assert await local.list_workers() == frozenset()


async def test_a_worker_program_that_is_missing_is_named() -> None:
    launcher = LocalWorkerLauncher(ENVIRONMENT, ("/nowhere/worker",))
    with pytest.raises(LaunchError, match="/nowhere/worker"):
        await launcher.start(W, SNAPSHOT)


async def test_workers_are_started_listed_and_stopped_through_the_driver(
    driven: RayWorkerLauncher,
) -> None:
    await driven.start(W, SNAPSHOT)
    assert {W, "head:1"} <= await driven.list_workers()
    await driven.stop(W, grace_seconds=1)
    assert W not in await driven.list_workers()


async def test_answers_may_come_in_any_order(driven: RayWorkerLauncher) -> None:
    slow = asyncio.create_task(driven.stop(WorkerId("slow"), grace_seconds=1))
    await driven.start(W, SNAPSHOT)
    await driven.list_workers()
    await slow


@pytest.mark.parametrize("worker", ["crash", "refuse"])
async def test_after_a_failure_the_next_call_gets_a_new_driver(
    driven: RayWorkerLauncher, worker: str
) -> None:
    before = await driven.list_workers()
    with pytest.raises(LaunchError, match="Ray, start"):
        await driven.start(WorkerId(worker), SNAPSHOT)
    after = await driven.list_workers()
    assert len(before) == len(after) == 2
    assert before != after


async def test_a_driver_that_ends_fails_every_call_that_waits(driven: RayWorkerLauncher) -> None:
    waiting = asyncio.create_task(driven.stop(WorkerId("slow"), grace_seconds=1))
    with pytest.raises(LaunchError):
        await driven.start(WorkerId("crash"), SNAPSHOT)
    with pytest.raises(LaunchError):
        await waiting


async def test_a_driver_that_cannot_start_is_a_launch_error() -> None:
    launcher = RayWorkerLauncher(PLACE, ENVIRONMENT, (sys.executable, "-c", "raise SystemExit(1)"))
    with pytest.raises(LaunchError):
        await launcher.list_workers()
    await launcher.close()


def test_a_worker_gets_neither_the_database_nor_rays_token() -> None:
    environment = {
        "FORMWORK_CONFIG": "/c",
        "FORMWORK_SAMPLER_SLOTS": "4",
        "FORMWORK_MESH_LOG_LEVEL": "info",
        "DATABASE_URL": "postgresql://secret",
        "RAY_AUTH_TOKEN": "secret",
        "FORMWORK_GATEWAY_X": "1",
        "OPENAI_API_KEY": "secret",
    }
    assert set(worker_environment(environment)) == {
        "FORMWORK_CONFIG",
        "FORMWORK_SAMPLER_SLOTS",
        "FORMWORK_MESH_LOG_LEVEL",
    }


def test_rays_driver_gets_the_token_file_and_not_the_database(tmp_path: Path) -> None:
    config = SchedulerConfig(ray_token_file=tmp_path / "token")
    environment = driver_environment(config, {"DATABASE_URL": "secret", "PATH": "/bin"})
    assert environment == {
        "PATH": "/bin",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token"),
    }


def test_ray_is_configured_by_its_own_variable_or_ours(tmp_path: Path) -> None:
    models = ModelTable({SNAPSHOT: ModelEntry(tmp_path, "f" * 64)}, {})
    config = SchedulerConfig()
    with pytest.raises(ConfigError, match="RAY_ADDRESS is not set"):
        build_launcher(config, models, {})
    assert isinstance(build_launcher(config, models, {"RAY_ADDRESS": "a:1"}), RayWorkerLauncher)
    local = build_launcher(SchedulerConfig(launcher="local"), models, {})
    assert isinstance(local, LocalWorkerLauncher)


@pytest.mark.parametrize(
    "changes",
    [
        {"launcher": "slurm"},
        {"oversubscription": 0.5},
        {"floor_batch": 0},
        {"max_write_batch": 0},
    ],
)
def test_a_configuration_that_cannot_work_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        SchedulerConfig(**changes)  # type: ignore[arg-type] # the test's point


def test_a_place_travels_as_json() -> None:
    assert RayPlace(**json.loads(json.dumps(asdict(PLACE)))) == PLACE
