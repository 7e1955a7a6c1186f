"""One supervised process: started, watched, started again when it ends, stopped when asked."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from infra.errors import SetupError
from infra.logfiles import open_log, tail
from infra.postgres_binaries import User
from infra.process_table import Identity, group_members, identify, kill_all
from mesh.clock import Clock

FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 30.0
# A process that ran this long has recovered: its next end starts the backoff anew.
STEADY_SECONDS = 30.0
WATCH_SECONDS = 2.0
_UNWELL_LOOKS = 2  # one look may fall into a moment in which nothing can be told

log = structlog.get_logger()


@dataclass(frozen=True)
class ProcessSpec:
    """How a process is run."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    """All of it: nothing is inherited."""
    log: Path
    user: User | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 30.0
    """After which it is killed."""
    prepare: Callable[[], None] | None = None
    """Runs before each start, in a thread."""
    is_well: Callable[[Identity], bool] | None = None
    """Asked often, in a thread. Who was well and is not any more is killed, to be started again."""


class SupervisedProcess:
    """Keeps one process running until `stop`.

    Args:
        spec: How it is run.
        clock: Measures backoff.
        on_start: Told the identity and how often it was started again.
    """

    def __init__(
        self,
        spec: ProcessSpec,
        clock: Clock,
        on_start: Callable[[str, Identity, int], None],
    ) -> None:
        self.spec = spec
        self._clock = clock
        self._on_start = on_start
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self.restarts = 0
        self.last_error = ""

    async def run(self) -> None:
        """Return once `stop` was called and the process is gone."""
        try:
            await self._run_again_and_again()
        finally:
            self._ended.set()

    async def _run_again_and_again(self) -> None:
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            started = self._clock.monotonic()
            await self._run_once()
            if self._stopping.is_set():
                return
            if self._clock.monotonic() - started >= STEADY_SECONDS:
                backoff = FIRST_BACKOFF_SECONDS
            log.warning(
                "process_ended",
                process=self.spec.name,
                cause=self.last_error,
                restart_in_seconds=backoff,
            )
            await self._pause(backoff)
            if self._stopping.is_set():
                return
            backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)
            self.restarts += 1

    async def _pause(self, seconds: float) -> None:
        """Return after that time, or at once when `stop` is called."""
        sleep = asyncio.ensure_future(self._clock.sleep(seconds))
        stop = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({sleep, stop}, return_when=asyncio.FIRST_COMPLETED)
        for task in (sleep, stop):
            task.cancel()

    async def _run_once(self) -> None:
        try:
            if self.spec.prepare is not None:
                await asyncio.to_thread(self.spec.prepare)
            process = await self._start()
        except (OSError, SetupError) as error:  # the next start may succeed
            self.last_error = str(error)
            return
        self._process = process
        identity = identify(process.pid) or Identity(process.pid, time.time())
        self._on_start(self.spec.name, identity, self.restarts)
        if self._stopping.is_set():
            self._signal(self.spec.stop_signal)
        is_unwell = await self._ended_or_unwell(process, identity)
        if is_unwell:
            self._signal(signal.SIGKILL)
        status = await process.wait()
        cause = "it lived on without what it runs" if is_unwell else f"status {status}"
        self.last_error = f"{cause}: {tail(self.spec.log)}"
        await asyncio.to_thread(lambda: kill_all(group_members(identity)))

    async def _ended_or_unwell(
        self, process: asyncio.subprocess.Process, identity: Identity
    ) -> bool:
        """Return once the process has ended, or lives and is unwell: True."""
        if self.spec.is_well is None:
            return False
        ending = asyncio.ensure_future(process.wait())
        watching = asyncio.ensure_future(self._watch(self.spec.is_well, identity))
        try:
            await asyncio.wait({ending, watching}, return_when=asyncio.FIRST_COMPLETED)
            return not ending.done()
        finally:
            ending.cancel()
            watching.cancel()

    async def _watch(self, is_well: Callable[[Identity], bool], identity: Identity) -> None:
        """Return when the process, having been well, was found unwell time after time."""
        was_well, unwell = False, 0
        while unwell < _UNWELL_LOOKS:
            await self._clock.sleep(WATCH_SECONDS)
            if await asyncio.to_thread(is_well, identity):
                was_well, unwell = True, 0
            elif was_well and not self._stopping.is_set():
                unwell += 1

    async def _start(self) -> asyncio.subprocess.Process:
        user = self.spec.user
        with open_log(self.spec.log) as output:
            return await asyncio.create_subprocess_exec(
                *self.spec.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(self.spec.environment),
                cwd="/",
                start_new_session=True,
                user=user.uid if user else None,
                group=user.gid if user else None,
                extra_groups=[] if user else None,
            )

    async def stop(self) -> None:
        """Ask the process to end, wait, then kill it."""
        self._stopping.set()
        self._signal(self.spec.stop_signal)
        try:
            async with asyncio.timeout(self.spec.stop_seconds):
                await self._ended.wait()
        except TimeoutError:
            log.warning("process_killed", process=self.spec.name)
            self._signal(signal.SIGKILL)
            await self._ended.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)
