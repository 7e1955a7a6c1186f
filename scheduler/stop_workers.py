"""Stops every worker of this mesh: `python -m scheduler.stop_workers`.

Workers outlive the scheduler on purpose, so taking a mesh down is a command of its own.
"""

import asyncio
import os
import sys

from mesh.config import ConfigError, load_settings
from mesh.models import load_models
from scheduler.config import SchedulerConfig
from scheduler.launcher import LaunchError, WorkerLauncher
from scheduler.launchers import build_launcher


async def stop_workers(launcher: WorkerLauncher, grace_seconds: float) -> int:
    """Stop whatever the launcher finds; return how many that were.

    Raises:
        ExceptionGroup: Of LaunchErrors: the place where workers run does not answer.
    """
    async with asyncio.TaskGroup() as group:
        running = await launcher.list_workers()
        for worker_id in running:
            group.create_task(launcher.stop(worker_id, grace_seconds=grace_seconds))
    return len(running)


async def _stop_and_leave(launcher: WorkerLauncher, grace_seconds: float) -> int:
    try:
        return await stop_workers(launcher, grace_seconds)
    finally:
        await launcher.close()


def main() -> int:
    """Stop the workers; return the exit status."""
    try:
        settings = load_settings()
        config = settings.section("scheduler", SchedulerConfig)
        launcher = build_launcher(config, load_models(settings), os.environ)
    except ConfigError as error:
        sys.stderr.write(f"scheduler: {error}\n")
        return 2
    count = -1
    try:
        count = asyncio.run(_stop_and_leave(launcher, config.worker_stop_seconds))
    except* LaunchError as group:
        sys.stderr.write(f"scheduler: {group.exceptions[0]}\n")
    if count < 0:
        return 1
    sys.stdout.write(f"stopped {count} worker{'' if count == 1 else 's'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
