"""Workers in a Ray cluster, asked for through a driver process that may end at any time."""

import asyncio
import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import structlog

from mesh.ids import Snapshot, WorkerId
from scheduler.launcher import LaunchError
from scheduler.ray_place import RayPlace

log = structlog.get_logger()

DRIVER_COMMAND = (sys.executable, "-m", "scheduler.ray_driver")
# Joining a cluster takes seconds, on a busy machine many.
_CALL_SECONDS = 60.0
_LINE_BYTES = 4 * 1024 * 1024
_END_SECONDS = 5.0


@dataclass
class _Driver:
    """One driver process and the calls it has not answered."""

    process: asyncio.subprocess.Process
    reading: asyncio.Task[None] | None = None
    calls: dict[int, asyncio.Future[Any]] = field(default_factory=dict)


class RayWorkerLauncher:
    """A WorkerLauncher over Ray; the workers outlive it, its driver and the scheduler.

    Args:
        place: The cluster.
        environment: Of the driver.
        command: Runs the driver.
    """

    def __init__(
        self,
        place: RayPlace,
        environment: Mapping[str, str],
        command: Sequence[str] = DRIVER_COMMAND,
    ) -> None:
        self._place = place
        self._environment = environment
        self._command = command
        self._driver: _Driver | None = None
        self._starting = asyncio.Lock()
        self._numbers = itertools.count()

    async def start(self, worker_id: WorkerId, snapshot: Snapshot) -> None:
        """Start a worker and return before it serves; one that runs under this id stays."""
        await self._call("start", _CALL_SECONDS, worker_id=worker_id, snapshot=snapshot)

    async def stop(self, worker_id: WorkerId, *, grace_seconds: float) -> None:
        """Stop a worker and return when it is gone; nothing happens where there is none."""
        seconds = _CALL_SECONDS + grace_seconds
        await self._call("stop", seconds, worker_id=worker_id, grace_seconds=grace_seconds)

    async def list_workers(self) -> frozenset[WorkerId]:
        """Return the workers whose actors live or are being started, whoever started them."""
        names: list[str] = await self._call("list", _CALL_SECONDS)
        return frozenset(WorkerId(name) for name in names)

    async def close(self) -> None:
        """Leave the cluster; its workers go on."""
        if self._driver is not None:
            await self._end(self._driver)

    async def _call(self, verb: str, seconds: float, **arguments: object) -> Any:  # noqa: ANN401 - the verb's answer
        """Return a call's answer; after one that failed the next call gets a new driver."""
        driver = await self._ensure_driver()
        number = next(self._numbers)
        done = driver.calls[number] = asyncio.get_running_loop().create_future()
        try:
            await _send(driver, {"id": number, "verb": verb, **arguments})
            return await asyncio.wait_for(done, seconds)
        except (LaunchError, TimeoutError, OSError) as error:
            await self._end(driver)
            raise LaunchError(f"Ray, {verb}: {error or type(error).__name__}") from error
        finally:
            driver.calls.pop(number, None)

    async def _ensure_driver(self) -> _Driver:
        async with self._starting:
            if self._driver is None:
                self._driver = await self._start_driver()
            return self._driver

    async def _start_driver(self) -> _Driver:
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, env=self._environment, stdin=pipe, stdout=pipe, limit=_LINE_BYTES
            )
        except OSError as error:
            raise LaunchError(f"cannot start {self._command[0]}: {error}") from error
        log.info("ray_driver_started", pid=process.pid, address=self._place.address)
        driver = _Driver(process)
        driver.reading = asyncio.create_task(self._read(driver))
        try:
            await _send(driver, asdict(self._place))
        except OSError as error:
            await self._end(driver)
            raise LaunchError(f"the driver has ended: {error}") from error
        return driver

    async def _read(self, driver: _Driver) -> None:
        """Hand out answers until the driver ends, which fails the calls that wait."""
        assert driver.process.stdout is not None  # noqa: S101 - it is a pipe
        async for line in driver.process.stdout:
            _resolve(driver, json.loads(line))
        status = await driver.process.wait()
        log.info("ray_driver_ended", pid=driver.process.pid, status=status)
        self._forget(driver)

    async def _end(self, driver: _Driver) -> None:
        self._forget(driver)
        if driver.process.returncode is None:
            driver.process.kill()  # what it holds is Ray's, and Ray's way out may hang
        if driver.reading is not None:
            await asyncio.wait({driver.reading}, timeout=_END_SECONDS)

    def _forget(self, driver: _Driver) -> None:
        if self._driver is driver:
            self._driver = None
        for done in driver.calls.values():
            if not done.done():
                done.set_exception(LaunchError("the driver has ended"))


async def _send(driver: _Driver, message: Mapping[str, object]) -> None:
    stdin = driver.process.stdin
    assert stdin is not None  # noqa: S101 - it is a pipe
    stdin.write(json.dumps(message).encode() + b"\n")
    await stdin.drain()


def _resolve(driver: _Driver, message: Mapping[str, Any]) -> None:
    done = driver.calls.get(message["id"])
    if done is None or done.done():
        return
    if "error" in message:
        done.set_exception(LaunchError(message["error"]))
    else:
        done.set_result(message["answer"])
