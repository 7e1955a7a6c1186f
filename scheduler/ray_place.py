"""The Ray cluster that workers run in, and what its driver finds in its environment."""

from collections.abc import Mapping
from dataclasses import dataclass

from mesh.config import ConfigError
from mesh.ids import Snapshot
from mesh.models import ModelTable
from scheduler.config import SchedulerConfig

_DATABASE_VARIABLES = frozenset({"DATABASE_URL", "DATABASE_DIRECT_URL"})


@dataclass(frozen=True)
class RayPlace:
    """The cluster, and what each worker takes of it."""

    address: str
    namespace: str
    worker_cpus: float
    worker_gpus: float
    devices: Mapping[Snapshot, str]
    """`auto`, `cpu` or `cuda`, by snapshot."""


def find_place(
    config: SchedulerConfig, models: ModelTable, environment: Mapping[str, str]
) -> RayPlace:
    """Return the configured cluster.

    Raises:
        ConfigError: No address is configured.
    """
    address = config.ray_address or environment.get("RAY_ADDRESS", "")
    if not address:
        raise ConfigError(
            "scheduler.ray_address is empty and RAY_ADDRESS is not set: start a head with"
            " `ray start --head` and name it, or set scheduler.launcher to local"
        )
    devices = {snapshot: entry.device for snapshot, entry in models.entries.items()}
    return RayPlace(address, config.ray_namespace, config.worker_cpus, config.worker_gpus, devices)


def driver_environment(config: SchedulerConfig, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of Ray's driver: ours without the database, with Ray's token.

    Ray reads its variables once, when it is imported.
    """
    driver = {name: value for name, value in environment.items() if name not in _DATABASE_VARIABLES}
    driver["RAY_USAGE_STATS_ENABLED"] = "0"
    if config.ray_token_file is not None:
        driver["RAY_AUTH_MODE"] = "token"
        driver["RAY_AUTH_TOKEN_PATH"] = str(config.ray_token_file)
    return driver
