"""Compiling in a process of its own, from the service's side."""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import structlog

from compiler_service.canonical import CanonicalGrammar
from compiler_service.compile_process import JOB_BYTE
from compiler_service.compile_wire import CompiledIndex, Job, read_result, write_job
from compiler_service.config import CompilerConfig
from mesh.clock import Clock
from mesh.config import ConfigError
from mesh.errors import CompileBudgetError, ServiceUnavailableError

log = structlog.get_logger()

_RESTART_SECONDS = 0.5
_GRACE_SECONDS = 1.0
"""Past a compile's own alarm: for a machine that is busy, or a process that is stopped."""


class Compiler(Protocol):
    """Compiles within a budget of time and memory, off the event loop."""

    async def compile(self, grammar: CanonicalGrammar, *, seconds: float) -> CompiledIndex:
        """Return the index of a grammar.

        Raises:
            EngineError: What the engine refuses.
            CompileBudgetError: It took more than `seconds` of wall-clock time, or its memory.
        """


class ForkingCompiler:
    """Compiles in forks of one process that holds the vocabularies; starts it again if it dies.

    Args:
        fingerprints: What each model folder's vocabulary must have.
        config: Section `compiler`.
        clock: For pauses between starts.
    """

    def __init__(
        self, fingerprints: Mapping[Path, str], config: CompilerConfig, clock: Clock
    ) -> None:
        self._fingerprints = fingerprints
        self._config = config
        self._clock = clock
        self._control: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._ready = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return once the process has loaded the vocabularies.

        Raises:
            ConfigError: A folder that cannot be read, or has another fingerprint than the table.
        """
        await self._start_process()
        self._watch = asyncio.create_task(self._restart_when_dead())

    async def close(self) -> None:
        """End the process; compiles in flight end by their own alarms."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        await self._end_process()

    async def compile(self, grammar: CanonicalGrammar, *, seconds: float) -> CompiledIndex:
        """Return the index of a grammar, as `Compiler.compile` says."""
        job = Job(grammar.to_bytes(), seconds, self._config.compile_memory_bytes)
        loop = asyncio.get_running_loop()
        start = loop.time()
        try:
            async with asyncio.timeout(seconds + _GRACE_SECONDS):
                frames = await self._exchange(write_job(job))
        except TimeoutError:
            frames = b""
        compiled = read_result(frames)
        if compiled is None:
            raise self._over_budget(seconds, loop.time() - start)
        return compiled

    def _over_budget(self, seconds: float, elapsed: float) -> CompileBudgetError:
        in_time = elapsed < seconds
        limit = "compile_memory_bytes" if in_time else "compile_seconds"
        maximum = self._config.compile_memory_bytes if in_time else seconds
        return CompileBudgetError(
            f"The grammar needs more than {limit} allows ({maximum:g}) to compile.",
            metadata={"limit": limit, "maximum": f"{maximum:g}", "value": f"> {maximum:g}"},
        )

    async def _exchange(self, frames: bytes) -> bytes:
        await self._ready.wait()
        ours, theirs = socket.socketpair()
        try:
            reader, writer = await asyncio.open_unix_connection(sock=ours)
            try:
                self._hand_over(theirs)
                writer.write(frames)
                await writer.drain()
                return await reader.read()
            except ConnectionError:
                return b""
            finally:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()
        finally:
            theirs.close()

    def _hand_over(self, theirs: socket.socket) -> None:
        if self._control is None:
            raise ServiceUnavailableError("The compiling process is being started.")
        try:
            socket.send_fds(self._control, [JOB_BYTE], [theirs.fileno()])
        except OSError as error:
            raise ServiceUnavailableError("The compiling process is being started.") from error
        theirs.close()

    async def _start_process(self) -> None:
        ours, theirs = socket.socketpair()
        environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "compiler_service.compile_process",
            str(theirs.fileno()),
            *map(str, self._fingerprints),
            pass_fds=[theirs.fileno()],
            stdin=asyncio.subprocess.DEVNULL,
            env=environment,
        )
        theirs.close()
        self._control = ours
        try:
            async with asyncio.timeout(self._config.start_seconds):
                self._check_greeting(await _read_line(ours))
        except TimeoutError as error:
            await self._end_process()
            raise ConfigError("compiler.start_seconds: the vocabularies took longer") from error
        except ConfigError:
            await self._end_process()
            raise
        ours.setblocking(True)  # noqa: FBT003 - socket's own signature
        self._ready.set()

    def _check_greeting(self, line: bytes) -> None:
        greeting = json.loads(line or b'{"error": "the compiling process did not start"}')
        if "error" in greeting:
            raise ConfigError(f"models: {greeting['error']}")
        for folder, wanted in self._fingerprints.items():
            found = greeting["fingerprints"][str(folder)]
            if found != wanted:
                raise ConfigError(
                    f"models: the tokenizer in {folder} has the fingerprint {found}, "
                    f"tokenizer_fingerprint says {wanted}"
                )

    async def _restart_when_dead(self) -> None:
        while True:
            if self._process is not None:
                status = await self._process.wait()
                self._ready.clear()
                log.error("compiling_process_died", status=status)
            await self._end_process()
            await self._clock.sleep(_RESTART_SECONDS)
            try:
                await self._start_process()
            except ConfigError:
                log.exception("compiling_process_failed")

    async def _end_process(self) -> None:
        self._ready.clear()
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
        self._process = None


async def _read_line(connection: socket.socket) -> bytes:
    connection.setblocking(False)  # noqa: FBT003 - socket's own signature
    loop, line = asyncio.get_running_loop(), b""
    while not line.endswith(b"\n"):
        part = await loop.sock_recv(connection, 65536)
        if not part:
            return b""
        line += part
    return line
