"""The launcher that the configuration names."""

from collections.abc import Mapping

from mesh.models import ModelTable
from scheduler.config import SchedulerConfig
from scheduler.launcher import WorkerLauncher
from scheduler.launcher_driver import RayWorkerLauncher
from scheduler.launcher_local import LocalWorkerLauncher
from scheduler.ray_place import driver_environment, find_place


def build_launcher(
    config: SchedulerConfig, models: ModelTable, environment: Mapping[str, str]
) -> WorkerLauncher:
    """Return the launcher that `scheduler.launcher` names, not yet connected.

    Raises:
        ConfigError: Ray without an address.
    """
    if config.launcher == "local":
        return LocalWorkerLauncher(environment)
    place = find_place(config, models, environment)
    return RayWorkerLauncher(place, driver_environment(config, environment))
