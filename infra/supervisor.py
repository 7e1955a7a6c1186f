"""Starts processes in stages, keeps them running, stops them in order, and writes it all down."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import structlog

from infra.errors import SetupError
from infra.logfiles import open_log
from infra.process_table import Identity, group_members, identify, kill_all
from infra.processes import ProcessSpec, SupervisedProcess
from infra.state import ChildState, Stage, StageStatus, StateFile
from mesh.clock import Clock

_READY_SECONDS = 180.0
_POLL_SECONDS = 0.25
_MOST_RESTARTS = 3  # at the start; later it tries for ever

log = structlog.get_logger()


class Supervisor:
    """Keeps processes running, each by its name.

    Args:
        state: Where stages and processes are written.
        clock: Measures stages and backoff.
    """

    def __init__(self, state: StateFile, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._processes: dict[str, SupervisedProcess] = {}
        self._new: asyncio.Queue[SupervisedProcess] = asyncio.Queue()

    async def run(self) -> None:
        """Keep every process that `keep` is given running; cancel it once they are stopped."""
        async with asyncio.TaskGroup() as group:
            while True:
                process = await self._new.get()
                group.create_task(process.run())

    def keep(self, spec: ProcessSpec) -> None:
        """Run a process from now on."""
        process = SupervisedProcess(spec, self._clock, self._record_start)
        self._processes[spec.name] = process
        self._new.put_nowait(process)

    async def stop(self, names: Iterable[str]) -> None:
        """Stop processes, one after the other; a name that was never started is skipped."""
        for name in names:
            if self.has_started(name):
                await self._processes[name].stop()

    def has_started(self, name: str) -> bool:
        """Tell whether `keep` was given a process of that name."""
        return name in self._processes

    @asynccontextmanager
    async def stage(self, name: str) -> AsyncIterator[Callable[[str], None]]:
        """Time a stage and write how it ended; yields what sets its detail."""
        started, detail = self._clock.monotonic(), ""

        def record(status: StageStatus, text: str) -> None:
            seconds = self._clock.monotonic() - started
            stage = Stage(name, status, seconds, text)
            self._state.change(lambda state: state.stages.__setitem__(name, stage))

        def describe(text: str) -> None:
            nonlocal detail
            detail = text

        record(StageStatus.RUNNING, "")
        try:
            yield describe
        except SetupError as error:
            record(StageStatus.FAILED, str(error))
            raise
        except Exception as error:
            record(StageStatus.FAILED, f"{type(error).__name__}: {error} (log/supervisor.log)")
            raise
        record(StageStatus.DONE, detail)

    async def wait_until(
        self, name: str, is_ready: Callable[[], bool], seconds: float = _READY_SECONDS
    ) -> None:
        """Return when a process is ready.

        Raises:
            SetupError: It keeps ending, or takes too long.
        """
        deadline = self._clock.monotonic() + seconds
        process = self._processes[name]
        while not await asyncio.to_thread(is_ready):
            path = process.spec.log
            if process.restarts >= _MOST_RESTARTS:
                raise SetupError(f"{name} keeps ending, {process.last_error} (all of it: {path})")
            if self._clock.monotonic() > deadline:
                raise SetupError(f"{name} is not ready after {seconds:.0f} s: see {path}")
            await self._clock.sleep(_POLL_SECONDS)

    def identity(self, name: str) -> Identity | None:
        """Return the process of that name as it was started last."""
        child = self._state.state.children.get(name)
        return child.identity if child else None

    def record_up(self) -> None:
        """Write down that every stage is done."""
        self._state.change(lambda state: setattr(state, "is_up", True))

    def _record_start(self, name: str, identity: Identity, restarts: int) -> None:
        number = self._processes[name].spec.stop_signal
        child = ChildState(identity, int(number), restarts)
        self._state.change(lambda state: state.children.__setitem__(name, child))
        log.info("process_started", process=name, pid=identity.pid, restarts=restarts)


async def run_command(spec: ProcessSpec) -> None:
    """Run a command that ends by itself, kill it when it does not in time, and whom it leaves."""
    with open_log(spec.log) as output:
        process = await asyncio.create_subprocess_exec(
            *spec.command,
            stdout=output,
            stderr=output,
            env=dict(spec.environment),
            cwd="/",
            start_new_session=True,
        )
    identity = identify(process.pid) or Identity(process.pid, time.time())
    try:
        async with asyncio.timeout(spec.stop_seconds):
            await process.wait()
    except TimeoutError:
        log.warning("command_killed", command=spec.name)
        process.kill()
        await process.wait()
    await asyncio.to_thread(lambda: kill_all(group_members(identity)))
