"""The process: configuration errors in one line, and an end with status 0 on SIGTERM."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import httpx

from .conftest import MODEL_FOLDER

CONFIGURATION = """
[mesh]
token_file = "token"
drain_seconds = 4
[gateway]
http_port = {port}
{extra}
[models.m]
folder = "{folder}"
tokenizer_fingerprint = "{fingerprint}"
"""


async def start(folder: Path, port: int, extra: str = "") -> asyncio.subprocess.Process:
    (folder / "token").write_text("t" * 64)
    text = CONFIGURATION.format(port=port, extra=extra, folder=MODEL_FOLDER, fingerprint="f" * 64)
    (folder / "formwork.toml").write_text(text)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway.main",
        env={
            "FORMWORK_CONFIG": str(folder / "formwork.toml"),
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        stderr=asyncio.subprocess.PIPE,
    )


async def wait_until_healthy(port: int) -> None:
    async with asyncio.timeout(30), httpx.AsyncClient() as client:
        while True:
            try:
                response = await client.get(f"http://127.0.0.1:{port}/healthz")
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                assert response.status_code == 200
                return


async def test_it_serves_without_neighbours_and_stops_with_status_0(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = await start(tmp_path, port)
    try:
        await wait_until_healthy(port)
        async with httpx.AsyncClient() as client:
            ready = await client.get(f"http://127.0.0.1:{port}/readyz", timeout=20)
        assert ready.status_code == 503
        assert set(ready.json()["missing"]) == {"compiler", "scheduler"}
        process.send_signal(signal.SIGTERM)
    finally:
        if process.returncode is None and sys.exc_info()[0] is not None:
            process.kill()
        _, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, errors.decode()


async def test_an_unknown_key_of_the_configuration_is_named(tmp_path: Path) -> None:
    process = await start(tmp_path, 0, "max_bodies = 1")
    _, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1
    assert "gateway.max_bodies" in errors.decode()
