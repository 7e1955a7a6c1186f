"""The launcher that the configuration names."""

import os

from mesh.models import ModelTable
from scheduler.config import SchedulerConfig
from scheduler.launcher import WorkerLauncher
from scheduler.launcher_local import LocalWorkerLauncher
from scheduler.ray_environment import prepare_ray, ray_address


def build_launcher(config: SchedulerConfig, models: ModelTable) -> WorkerLauncher:
    """Return the launcher that `scheduler.launcher` names, not yet connected.

    Raises:
        ConfigError: Ray without an address.
    """
    if config.launcher == "local":
        return LocalWorkerLauncher(os.environ)
    address = ray_address(config, os.environ)
    prepare_ray(config, os.environ)
    # Imported here: Ray reads its variables when it is imported, and costs seconds and memory.
    from scheduler.launcher_ray import RayPlace, RayWorkerLauncher  # noqa: PLC0415

    place = RayPlace(
        address,
        config.ray_namespace,
        config.worker_cpus,
        config.worker_gpus,
        {snapshot: entry.device for snapshot, entry in models.entries.items()},
    )
    return RayWorkerLauncher(place, os.environ)
