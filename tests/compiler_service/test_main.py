"""The process: it starts without a database, says what is wrong with its configuration, drains."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from formwork.compiler.v1 import compiler_pb2 as pb
from formwork.compiler.v1 import compiler_pb2_grpc
from formwork_engine import load_vocabulary

from compiler_service.config import CompilerConfig
from mesh.channels import Caller, open_channel
from mesh.config import MeshConfig

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "models" / "formwork-mini"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_config(folder: Path, *, port: int, fingerprint: str, compiler: str = "") -> Path:
    (folder / "token").write_text("t" * 40)
    path = folder / "formwork.toml"
    path.write_text(
        f"""
[mesh]
token_file = "token"
compiler_address = "127.0.0.1:{port}"
drain_seconds = 1.0
[compiler]
{compiler}
[models.mini]
folder = "{MODEL}"
tokenizer_fingerprint = "{fingerprint}"
"""
    )
    return path


@asynccontextmanager
async def running(config: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {
        **os.environ,
        "FORMWORK_CONFIG": str(config),
        "DATABASE_URL": "postgresql://nobody:x@127.0.0.1:1/none",
        "PYTHONPATH": os.pathsep.join(
            [str(ROOT), str(ROOT / "protos"), str(ROOT / "engine" / "python")]
        ),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "compiler_service.main"),
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_it_serves_without_a_database_and_drains_on_sigterm(tmp_path: Path) -> None:
    port, fingerprint = free_port(), load_vocabulary(MODEL).fingerprint
    config = write_config(tmp_path, port=port, fingerprint=fingerprint)
    async with running(config) as process:
        channel = open_channel(f"127.0.0.1:{port}", MeshConfig(token_file=config))
        answer = await Caller("t" * 40).unary(
            compiler_pb2_grpc.CompilerServiceStub(channel).EnsureIndex,
            pb.EnsureIndexRequest(
                input=pb.GrammarInput(json_schema="{}"), tokenizer_fingerprint=fingerprint
            ),
            timeout_seconds=60,
            wait_for_ready=True,
        )
        assert answer.index_id
        await channel.close()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await process.wait() == 0


@pytest.mark.parametrize(
    ("fingerprint", "compiler", "message"),
    [
        ("0" * 64, "", "tokenizer_fingerprint says 000"),
        ("", "claim_seconds = 1.0", "claim_seconds must be more than compile_seconds"),
        ("", "colour = 3", "unknown key compiler.colour"),
    ],
)
async def test_a_wrong_configuration_is_one_clear_line(
    tmp_path: Path, fingerprint: str, compiler: str, message: str
) -> None:
    fingerprint = fingerprint or load_vocabulary(MODEL).fingerprint
    config = write_config(tmp_path, port=free_port(), fingerprint=fingerprint, compiler=compiler)
    async with running(config) as process, asyncio.timeout(60):
        _, errors = await process.communicate()
        assert process.returncode == 1
        last = errors.decode().strip().splitlines()[-1]
        assert last.startswith("compiler: ")
        assert message in last


def test_slots_are_at_least_one() -> None:
    with pytest.raises(ValueError, match="compile_slots"):
        CompilerConfig(compile_slots=0)
