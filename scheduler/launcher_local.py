"""Workers as subprocesses of this one: for tests, and for a machine without Ray."""

import asyncio
import sys
from collections.abc import Mapping, Sequence

import structlog

from mesh.ids import Snapshot, WorkerId
from scheduler.launcher import LaunchError, worker_environment

log = structlog.get_logger()

WORKER_COMMAND = (sys.executable, "-m", "sampler_service.worker")
_PROCESS_VARIABLES = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "PYTHONPATH", "TMPDIR")


class LocalWorkerLauncher:
    """A WorkerLauncher over subprocesses, which end with `close`.

    Args:
        environment: Of this process.
        command: Runs a worker; gets `--worker-id` and `--snapshot`.
    """

    def __init__(
        self, environment: Mapping[str, str], command: Sequence[str] = WORKER_COMMAND
    ) -> None:
        self._command = command
        self._environment = worker_environment(environment) | {
            name: environment[name] for name in _PROCESS_VARIABLES if name in environment
        }
        self._processes: dict[WorkerId, asyncio.subprocess.Process] = {}

    async def start(self, worker_id: WorkerId, snapshot: Snapshot) -> None:
        """Start a worker and return before it serves; one that runs under this id stays."""
        if worker_id in await self.list_workers():
            return
        arguments = ("--worker-id", worker_id, "--snapshot", snapshot)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, *arguments, env=self._environment
            )
        except OSError as error:
            raise LaunchError(f"cannot start {self._command[0]}: {error}") from error
        self._processes[worker_id] = process
        log.info("worker_process_started", worker_id=worker_id, pid=process.pid)

    async def stop(self, worker_id: WorkerId, *, grace_seconds: float) -> None:
        """Stop a worker and return when it is gone: SIGTERM, then SIGKILL."""
        process = self._processes.get(worker_id)
        if process is None:
            return
        if process.returncode is None and grace_seconds > 0:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), grace_seconds)
            except TimeoutError:
                log.warning("worker_killed", worker_id=worker_id, grace_seconds=grace_seconds)
        if process.returncode is None:
            process.kill()
        await process.wait()
        self._processes.pop(worker_id, None)

    async def list_workers(self) -> frozenset[WorkerId]:
        """Return the workers whose processes run."""
        for worker_id, process in list(self._processes.items()):
            if process.returncode is not None:
                log.warning("worker_exited", worker_id=worker_id, status=process.returncode)
                del self._processes[worker_id]
        return frozenset(self._processes)

    async def close(self) -> None:
        """Kill the subprocesses: nobody could adopt them."""
        async with asyncio.TaskGroup() as group:
            for worker_id in list(self._processes):
                group.create_task(self.stop(worker_id, grace_seconds=2.0))
