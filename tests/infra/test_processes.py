import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from infra.errors import SetupError
from infra.process_table import Identity
from infra.processes import (
    FIRST_BACKOFF_SECONDS,
    WATCH_SECONDS,
    ProcessSpec,
    SupervisedProcess,
)
from mesh.testing import FakeClock

SLEEP = "import time; time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('ready', flush=True); time.sleep(600)"
)


async def until(happens: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not happens():  # noqa: ASYNC110 - a process is watched from outside
            await asyncio.sleep(0.01)


class Supervision:
    """A supervised process, and what it said of its starts."""

    def __init__(self, folder: Path, code: str, **options: object) -> None:
        self.clock = FakeClock()
        self.starts: list[tuple[int, int]] = []
        self.log = folder / "child.log"
        spec = ProcessSpec(
            "child", (sys.executable, "-c", code), {"PATH": os.defpath}, self.log, **options
        )
        self.process = SupervisedProcess(spec, self.clock, self._record)
        self.task = asyncio.create_task(self.process.run())

    def _record(self, _name: str, identity: Identity, restarts: int) -> None:
        self.starts.append((identity.pid, restarts))

    async def started(self, times: int) -> int:
        await until(lambda: len(self.starts) >= times)
        return self.starts[-1][0]

    async def ended(self) -> None:
        """Return once the process waits to be started again."""
        before = self.process.last_error
        await until(lambda: self.process.last_error != before and self.clock._sleepers != [])


async def test_a_process_that_is_killed_is_started_again_after_a_pause(tmp_path: Path) -> None:
    child = Supervision(tmp_path, SLEEP)
    os.kill(await child.started(1), signal.SIGKILL)
    await child.ended()
    assert len(child.starts) == 1
    await child.clock.advance(FIRST_BACKOFF_SECONDS)
    await child.started(2)
    assert [restarts for _, restarts in child.starts] == [0, 1]
    await child.process.stop()
    await child.task


async def test_the_pause_grows_while_a_process_keeps_ending(tmp_path: Path) -> None:
    child = Supervision(tmp_path, "raise SystemExit('broken')")
    for times in range(1, 4):
        await child.started(times)
        pause = FIRST_BACKOFF_SECONDS * 2 ** (times - 1)
        await until(lambda: "broken" in child.process.last_error and child.clock._sleepers != [])
        await child.clock.advance(pause * 0.9)
        assert len(child.starts) == times
        child.process.last_error = ""
        await child.clock.advance(pause * 0.1)
    await child.process.stop()
    await child.task


async def test_a_stopped_process_is_gone_and_not_started_again(tmp_path: Path) -> None:
    child = Supervision(tmp_path, SLEEP)
    pid = await child.started(1)
    await child.process.stop()
    await child.task
    assert not psutil.pid_exists(pid)
    await child.clock.advance(1000)
    assert len(child.starts) == 1


async def test_a_process_that_ignores_its_stop_signal_is_killed(tmp_path: Path) -> None:
    child = Supervision(tmp_path, STUBBORN, stop_seconds=0.2)
    pid = await child.started(1)
    await until(lambda: "ready" in child.log.read_text())
    await child.process.stop()
    await child.task
    assert not psutil.pid_exists(pid)


async def test_a_start_that_is_hindered_is_tried_again(tmp_path: Path) -> None:
    hindrances = [SetupError("the folder is not ours")]

    def prepare() -> None:
        if hindrances:
            raise hindrances.pop()

    child = Supervision(tmp_path, SLEEP, prepare=prepare)
    await child.ended()
    assert child.process.last_error == "the folder is not ours"
    await child.clock.advance(FIRST_BACKOFF_SECONDS)
    await child.started(1)
    await child.process.stop()
    await child.task


async def test_a_process_that_lives_on_unwell_is_killed_and_started_again(tmp_path: Path) -> None:
    findings = [False, False, False, True, False, True, False, False]  # the first: it is starting
    looks = iter(findings)
    child = Supervision(tmp_path, SLEEP, is_well=lambda _identity: next(looks))
    pid = await child.started(1)
    for looked in range(len(findings)):
        assert psutil.pid_exists(pid), f"killed after {looked} looks"
        await until(lambda: child.clock._sleepers != [])
        await child.clock.advance(WATCH_SECONDS)
    await until(lambda: child.process.last_error != "")
    assert not psutil.pid_exists(pid)
    assert child.process.last_error.startswith("it lived on without what it runs")
    await until(lambda: child.clock._sleepers != [])
    await child.clock.advance(FIRST_BACKOFF_SECONDS)
    await child.started(2)
    await child.process.stop()
    await child.task


async def test_a_process_gets_its_own_environment_and_none_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    child = Supervision(tmp_path, "import os; print(sorted(os.environ), flush=True)")
    await child.started(1)
    await child.ended()
    assert "DATABASE_URL" not in child.log.read_text()
    await child.process.stop()
    await child.task
