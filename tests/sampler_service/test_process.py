"""A worker as a process of its own: started, killed, started again, told to drain."""

import asyncio
import os
import signal
import sys

import pytest
from formwork.scheduler.v1 import scheduler_pb2

from mesh.channels import open_channel
from sampler_service.testing import StreamClient, eventually
from sampler_service.testing_mesh import SNAPSHOT, TOKEN, WorkerMesh, write_toml


async def start(mesh: WorkerMesh, worker_id: str) -> asyncio.subprocess.Process:
    folder = mesh.settings.folder
    write_toml(mesh.document(), folder / "formwork.toml")
    mesh.scheduler.renewals.clear()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sampler_service.worker",
        "--worker-id",
        worker_id,
        "--snapshot",
        SNAPSHOT,
        env=os.environ | {"FORMWORK_CONFIG": str(folder / "formwork.toml"), "OMP_NUM_THREADS": "1"},
    )
    await eventually(
        lambda: any(
            renewal.state == scheduler_pb2.WORKER_STATE_READY for renewal in mesh.scheduler.renewals
        ),
        seconds=60,
    )
    return process


async def test_a_killed_worker_s_reports_are_sent_by_the_next_one(mesh: WorkerMesh) -> None:
    process = await start(mesh, "w1")
    channel = open_channel(mesh.scheduler.renewals[-1].worker_address, mesh.config)
    gateway = StreamClient(channel, TOKEN)
    await gateway.open(1, mesh.lease(lease_id="l1"))
    await gateway.wait_until(lambda: gateway.tokens(1) > 0)
    mesh.scheduler.away = True
    await gateway.wait_ended(1)
    spool = mesh.settings.folder / "spool" / "w1"
    if ("l1", 1) not in mesh.scheduler.reports:
        await eventually(lambda: any(spool.glob("*.report")))
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await channel.close(None)
    mesh.scheduler.away = False
    successor = await start(mesh, "w2")
    await eventually(lambda: ("l1", 1) in mesh.scheduler.reports)
    assert mesh.scheduler.reports["l1", 1].counts.completion_tokens == gateway.tokens(1)
    successor.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(successor.wait(), 20) == 0


async def test_sigterm_lets_live_sequences_end(mesh: WorkerMesh) -> None:
    process = await start(mesh, "w1")
    channel = open_channel(mesh.scheduler.renewals[-1].worker_address, mesh.config)
    gateway = StreamClient(channel, TOKEN)
    await gateway.open(
        1, mesh.lease(lease_id="l1"), sampling={"max_tokens": 200, "logit_bias": {2: -100}}
    )
    await gateway.wait_until(lambda: gateway.tokens(1) > 0)
    process.send_signal(signal.SIGTERM)
    await gateway.wait_ended(1)
    assert gateway.tokens(1) == 200
    assert await asyncio.wait_for(process.wait(), 20) == 0
    assert ("l1", 1) in mesh.scheduler.reports
    await channel.close(None)


@pytest.mark.parametrize("snapshot", ["unknown"])
async def test_an_unknown_snapshot_is_one_clear_line(mesh: WorkerMesh, snapshot: str) -> None:
    folder = mesh.settings.folder
    write_toml(mesh.document(), folder / "formwork.toml")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sampler_service.worker",
        "--worker-id=w1",
        f"--snapshot={snapshot}",
        env=os.environ | {"FORMWORK_CONFIG": str(folder / "formwork.toml")},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert errors.decode().strip().splitlines()[-1].startswith("sampler: The model 'unknown'")
