"""One validating process, from the gateway's side: started when needed, killed when it overruns."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence

import structlog

from gateway.config import GatewayConfig
from gateway.validation_process import CHECK_HEAD, SIZE, VERDICT_HEAD, Asked, Finding, Verdict
from mesh.errors import InternalError

log = structlog.get_logger()

# How the kernel, the allocator and an exhausted stack end a process that goes beyond its limits.
_OVER_BUDGET = frozenset([-signal.SIGPROF, -signal.SIGABRT, -signal.SIGSEGV])

_START_SECONDS = 20.0
_GRACE_SECONDS = 1.0
"""Between the end of a process's output and its own end."""


class ValidationBudgetError(Exception):
    """The schema needs more time or memory than a check may take."""


class ValidationProcess:
    """Does one check at a time; a process that overruns, dies or wears out is replaced.

    Args:
        config: Budgets of a check.
    """

    def __init__(self, config: GatewayConfig) -> None:
        self._config = config
        self._process: asyncio.subprocess.Process | None = None

    async def check(self, schema: bytes, answer: bytes | None) -> Finding:
        """Return what is found of an answer, or of the schema alone.

        Raises:
            ValidationBudgetError: The schema needs more than the budget.
            InternalError: The process took too long for another reason, or crashed.
        """
        asked = Asked.SCHEMA if answer is None else Asked.ANSWER
        (finding,) = await self._ask(_check(asked, schema, answer or b""), 1)
        return finding

    async def check_several(self, schemas: Sequence[bytes]) -> list[Finding]:
        """Return what is found of each of several schemas, as far as they take a moment together.

        Raises:
            ValidationBudgetError: One of them needs more than the budget.
            InternalError: As `check` says.
        """
        sizes = b"".join(SIZE.pack(len(schema)) for schema in schemas)
        return await self._ask(_check(Asked.SEVERAL, sizes, b"".join(schemas)), len(schemas))

    async def _ask(self, check: bytes, verdicts: int) -> list[Finding]:
        process = await self.start()
        try:
            async with asyncio.timeout(self._config.validation_wall_seconds):
                findings, is_worn = await _exchange(process, check, verdicts)
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            raise self._explain(await self._end(process, _GRACE_SECONDS)) from error
        except TimeoutError as error:
            await self._end(process)
            raise InternalError("An answer could not be checked in time.") from error
        except BaseException:  # cancelled: the verdict under way is for nobody
            await asyncio.shield(self._end(process))
            raise
        if is_worn:
            await self._end(process)
        return findings

    async def start(self) -> asyncio.subprocess.Process:
        """Return the process, started where there is none."""
        if self._process is not None and self._process.returncode is None:
            return self._process
        process = await _start_process(self._config)
        try:
            async with asyncio.timeout(_START_SECONDS):
                await _read_verdict(process)  # its greeting
        except (TimeoutError, asyncio.IncompleteReadError) as error:
            await self._end(process)
            raise InternalError("The validating process did not start.") from error
        except BaseException:
            await asyncio.shield(self._end(process))
            raise
        self._process = process
        return process

    async def close(self) -> None:
        """End the process."""
        if self._process is not None:
            await self._end(self._process)

    async def _end(self, process: asyncio.subprocess.Process, grace_seconds: float = 0.0) -> int:
        """Return the status of a process, killed unless it ends by itself."""
        if self._process is process:
            self._process = None
        try:
            async with asyncio.timeout(grace_seconds):
                return await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            return await process.wait()

    def _explain(self, status: int) -> Exception:
        log.warning("validation_process_died", status=status)
        if status in _OVER_BUDGET:
            return ValidationBudgetError()
        return InternalError("An answer could not be checked.")


async def _start_process(config: GatewayConfig) -> asyncio.subprocess.Process:
    limits = (config.validation_seconds, config.validation_memory_bytes)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "gateway.validation_process",
        *map(str, limits),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # a crash would write a tenant's schema to the logs
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},  # and no secret
    )


def _check(asked: Asked, first: bytes, second: bytes) -> bytes:
    return CHECK_HEAD.pack(asked, len(first), len(second)) + first + second


async def _exchange(
    process: asyncio.subprocess.Process, check: bytes, verdicts: int
) -> tuple[list[Finding], bool]:
    """Return so many findings, and whether the process should be replaced."""
    if process.stdin is None:
        raise InternalError("The validating process has no input.")
    process.stdin.write(check)
    await process.stdin.drain()
    read = [await _read_verdict(process) for _ in range(verdicts)]
    return [finding for finding, _ in read], any(is_worn for _, is_worn in read)


async def _read_verdict(process: asyncio.subprocess.Process) -> tuple[Finding, bool]:
    if process.stdout is None:
        raise InternalError("The validating process has no output.")
    head = await process.stdout.readexactly(VERDICT_HEAD.size)
    verdict, is_worn, build_seconds, check_seconds, size = VERDICT_HEAD.unpack(head)
    reason = await process.stdout.readexactly(size)
    return Finding(Verdict(verdict), build_seconds, check_seconds, reason.decode()), is_worn
