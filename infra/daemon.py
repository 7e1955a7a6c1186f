"""The mesh in the background: `python -m infra.daemon PORT` runs the home's mesh until SIGTERM.

`make run` starts it and reads its state file; `make down` sends it SIGTERM.
"""

import asyncio
import logging
import os
import signal
import sys
import time

import structlog

from infra.errors import SetupError
from infra.home import Home, ensure_home, find_home
from infra.leftovers import end_leftovers
from infra.locks import find_lock
from infra.logfiles import bound_logs
from infra.plan import STOP_AFTER_WORKERS, STOP_BEFORE_WORKERS
from infra.process_table import Identity, identify
from infra.stages import Boot
from infra.state import MeshState, StateFile
from infra.supervisor import Supervisor, run_command
from mesh.clock import Clock, SystemClock
from mesh.logs import configure_logs

LOCK_NAME = "supervisor.lock"
STATE_NAME = "state.json"
_LOG_CHECK_SECONDS = 10.0

log = structlog.get_logger()


async def run_mesh(boot: Boot, supervisor: Supervisor, clock: Clock, stop: asyncio.Event) -> None:
    """Run a mesh until `stop`; a start that fails sets it.

    Whatever failed is in the state by then, and everything is stopped again.
    """
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(supervisor.run())
        booting = group.create_task(_boot(boot, supervisor, stop))
        logs = group.create_task(_bound_logs(boot.home, clock))
        await stop.wait()
        log.info("stopping")
        for task in (booting, logs):
            task.cancel()
        await _shut_down(boot, supervisor)
        keeping.cancel()
    log.info("stopped")


async def _boot(boot: Boot, supervisor: Supervisor, stop: asyncio.Event) -> None:
    try:
        await boot.run(supervisor)
        supervisor.record_up()
    except* SetupError:
        log.info("start_failed")  # the stages tell why
        stop.set()
    except* Exception:
        log.exception("start_crashed")
        stop.set()


async def _shut_down(boot: Boot, supervisor: Supervisor) -> None:
    await supervisor.stop(STOP_BEFORE_WORKERS)
    command = boot.stop_workers()
    if command is not None and supervisor.has_started(STOP_BEFORE_WORKERS[-1]):
        await run_command(command)
    await supervisor.stop(STOP_AFTER_WORKERS)


async def _bound_logs(home: Home, clock: Clock) -> None:
    while True:
        await asyncio.to_thread(bound_logs, home.log)
        await clock.sleep(_LOG_CHECK_SECONDS)


async def _supervise(home: Home, http_port: int) -> bool:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await asyncio.to_thread(end_leftovers, home)
    me = identify(os.getpid()) or Identity(os.getpid(), time.time())
    state = StateFile(home.run / STATE_NAME, MeshState(me, http_port))
    clock = SystemClock()
    await run_mesh(Boot(home, os.environ, http_port), Supervisor(state, clock), clock, stop)
    return state.state.is_up


def main(arguments: list[str]) -> int:
    """Run the mesh of FORMWORK_HOME on the HTTP port given; return the exit status."""
    home = find_home()
    ensure_home(home)
    lock = find_lock(home.run / LOCK_NAME)
    if lock is None:
        return 0  # another daemon is at it
    configure_logs("supervisor")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each probe says nothing
    return 0 if asyncio.run(_supervise(home, int(arguments[0]))) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
