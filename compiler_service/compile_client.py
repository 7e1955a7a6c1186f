"""Compiling in processes of its own, from the service's side."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import structlog
from formwork_engine import EngineError

from compiler_service.canonical import CanonicalGrammar
from compiler_service.compile_process import FORK_BYTE
from compiler_service.compile_wire import (
    Answer,
    CompiledIndex,
    Job,
    read_answer,
    read_frame,
    write_job,
)
from compiler_service.config import CompilerConfig
from mesh.clock import Clock
from mesh.config import ConfigError
from mesh.errors import CompileBudgetError, ServiceUnavailableError

log = structlog.get_logger()

_RESTART_SECONDS = 0.5
_FORK_SECONDS = 10.0
_GRACE_SECONDS = 1.0
"""Past a compile's own alarm: for a machine that is busy, or a process that is stopped."""


class Compiler(Protocol):
    """Compiles within a budget of time and memory, off the event loop."""

    async def compile(self, grammar: CanonicalGrammar, *, seconds: float) -> CompiledIndex:
        """Return the index of a grammar; cancelling ends the work.

        Raises:
            EngineError: What the engine refuses.
            CompileBudgetError: It took more than `seconds` of wall-clock time, or its memory.
            ServiceUnavailableError: There is no process to compile in.
        """

    async def compile_short(
        self, grammars: Sequence[CanonicalGrammar], *, seconds: float
    ) -> list[CompiledIndex | EngineError]:
        """Return what comes of several grammars, compiled one after the other in their order.

        Of those that are not done within `seconds`, all together, and of one that takes too much
        memory and all behind it, nothing is returned: they are for `compile`. Cancelling ends the
        work.

        Raises:
            ServiceUnavailableError: There is no process to compile in.
        """

    async def fill(self, grammar: CanonicalGrammar) -> CompiledIndex:
        """Return the filled index of a grammar, made in time that nobody else wants.

        Raises:
            EngineError: What the engine refuses.
            CompileBudgetError: It took too long, or too much memory.
            ServiceUnavailableError: There is no process to fill in.
        """


class _Fork:
    """One compiling process, from the other end of its socket."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, process_id: int
    ) -> None:
        self.reader = reader
        self._writer = writer
        self._process_id = process_id

    async def send(self, data: bytes) -> None:
        """Send bytes; a process that is gone is noticed when its answer is read."""
        with contextlib.suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    def end(self) -> None:
        """Kill the process, whatever it does."""
        if not self.reader.at_eof():  # then its id is still its own
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process_id, signal.SIGKILL)
        self._writer.close()


class ForkingCompiler:
    """Compiles in forks of a process that holds the vocabularies; starts that again if it dies.

    Args:
        fingerprints: What each model folder's vocabulary must have.
        config: Section `compiler`.
        clock: For pauses between starts.
    """

    def __init__(
        self, fingerprints: Mapping[Path, str], config: CompilerConfig, clock: Clock
    ) -> None:
        self._config = config
        self._host = _Host(fingerprints, config, clock)
        self._idle: list[_Fork] = []

    async def start(self) -> None:
        """Return once the vocabularies are loaded.

        Raises:
            ConfigError: A folder that cannot be read, or has another fingerprint than the table.
        """
        await self._host.start()
        self._idle.append(await self._host.fork())

    async def close(self) -> None:
        """End every process."""
        while self._idle:
            self._idle.pop().end()
        await self._host.close()

    async def compile(self, grammar: CanonicalGrammar, *, seconds: float) -> CompiledIndex:
        """Return the index of a grammar, as `Compiler.compile` says."""
        return await self._run(await self._take_fork(), Job(grammar.to_bytes(), seconds))

    async def compile_short(
        self, grammars: Sequence[CanonicalGrammar], *, seconds: float
    ) -> list[CompiledIndex | EngineError]:
        """Return what comes of several grammars in time, as `Compiler.compile_short` says.

        The process has all jobs at once, and is working on one while the last is read here.
        """
        fork = await self._take_fork()
        answers: list[Answer] = []
        try:
            async with asyncio.timeout(seconds):
                await fork.send(b"".join(write_job(Job(g.to_bytes(), seconds)) for g in grammars))
                while len(answers) < len(grammars) and not (answers and answers[-1].is_last):
                    answers.append(read_answer(await read_frame(fork.reader)))
        except (EOFError, ConnectionError, TimeoutError):
            fork.end()
        except asyncio.CancelledError:
            fork.end()
            raise
        else:
            self._give_back(fork, answers[-1])
        return [answer.result for answer in answers]

    async def fill(self, grammar: CanonicalGrammar) -> CompiledIndex:
        """Return the filled index of a grammar, as `Compiler.fill` says."""
        config = self._config
        job = Job(grammar.to_bytes(), config.fill_limit_seconds, config.fill_seconds)
        return await self._run(await self._host.fork(), job)

    async def _run(self, fork: _Fork, job: Job) -> CompiledIndex:
        start = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(job.seconds + _GRACE_SECONDS):
                await fork.send(write_job(job))
                answer = read_answer(await read_frame(fork.reader))
        except (EOFError, ConnectionError, TimeoutError) as error:
            fork.end()
            elapsed = asyncio.get_running_loop().time() - start
            raise self._over_budget(job.seconds, elapsed) from error
        except asyncio.CancelledError:
            fork.end()
            raise
        self._give_back(fork, answer)
        if isinstance(answer.result, EngineError):
            raise answer.result
        return answer.result

    def _give_back(self, fork: _Fork, answer: Answer) -> None:
        """Keep a process for the next job, unless its answer was its last."""
        if answer.is_last:
            fork.end()
        else:
            self._idle.append(fork)

    async def _take_fork(self) -> _Fork:
        while self._idle:
            fork = self._idle.pop()
            if not fork.reader.at_eof():
                return fork
            fork.end()
        return await self._host.fork()

    def _over_budget(self, seconds: float, elapsed: float) -> CompileBudgetError:
        in_time = elapsed < seconds
        limit = "compile_memory_bytes" if in_time else "compile_seconds"
        maximum = self._config.compile_memory_bytes if in_time else seconds
        return CompileBudgetError(
            f"The grammar needs more than {limit} allows ({maximum:g}) to compile.",
            metadata={"limit": limit, "maximum": f"{maximum:g}", "value": f"> {maximum:g}"},
        )


class _Host:
    """The process that holds the vocabularies and forks."""

    def __init__(
        self, fingerprints: Mapping[Path, str], config: CompilerConfig, clock: Clock
    ) -> None:
        self._fingerprints = fingerprints
        self._config = config
        self._clock = clock
        self._control: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._start_process()
        self._watch = asyncio.create_task(self._restart_when_dead())

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        await self._end_process()

    async def fork(self) -> _Fork:
        """Return a fresh fork.

        Raises:
            ServiceUnavailableError: The process is being started again.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._hand_over(theirs)
            except ServiceUnavailableError:
                ours.close()
                raise
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        try:
            async with asyncio.timeout(_FORK_SECONDS):
                return _Fork(reader, writer, int(await read_frame(reader)))
        except (EOFError, ConnectionError, TimeoutError) as error:
            writer.close()
            raise _unavailable() from error
        except asyncio.CancelledError:
            writer.close()  # the fork ends with its socket
            raise

    def _hand_over(self, theirs: socket.socket) -> None:
        if self._control is None:
            raise _unavailable()
        try:
            socket.send_fds(self._control, [FORK_BYTE], [theirs.fileno()])
        except OSError as error:
            raise _unavailable() from error

    async def _start_process(self) -> None:
        ours, theirs = socket.socketpair()
        # the process that meets hostile grammars has no key to the database
        inherited = {key: text for key, text in os.environ.items() if "DATABASE" not in key}
        environment = {**inherited, "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "compiler_service.compile_process",
                str(theirs.fileno()),
                str(self._config.compile_memory_bytes),
                *map(str, self._fingerprints),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                env=environment,
            )
        try:
            async with asyncio.timeout(self._config.start_seconds):
                self._check_greeting(await _read_line(ours))
        except TimeoutError as error:
            ours.close()
            await self._end_process()
            raise ConfigError("compiler.start_seconds: the vocabularies took longer") from error
        except ConfigError:
            ours.close()
            await self._end_process()
            raise
        self._control = ours

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
                log.error("compiling_process_died", status=status)
            await self._end_process()
            await self._clock.sleep(_RESTART_SECONDS)
            try:
                await self._start_process()
            except ConfigError:
                log.exception("compiling_process_failed")

    async def _end_process(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
        self._process = None


def _unavailable() -> ServiceUnavailableError:
    return ServiceUnavailableError(
        "The compiling process is being started.", retry_after_seconds=1.0
    )


async def _read_line(connection: socket.socket) -> bytes:
    connection.setblocking(False)  # noqa: FBT003 - socket's own signature
    loop, line = asyncio.get_running_loop(), b""
    while not line.endswith(b"\n"):
        part = await loop.sock_recv(connection, 65536)
        if not part:
            return b""
        line += part
    return line
