"""What Ray reads from the environment, put there before Ray is imported."""

from collections.abc import Mapping, MutableMapping

from mesh.config import ConfigError
from scheduler.config import SchedulerConfig


def ray_address(config: SchedulerConfig, environment: Mapping[str, str]) -> str:
    """Return the address of the Ray head.

    Raises:
        ConfigError: None is configured.
    """
    address = config.ray_address or environment.get("RAY_ADDRESS", "")
    if not address:
        raise ConfigError(
            "scheduler.ray_address is empty and RAY_ADDRESS is not set: start a head with"
            " `ray start --head` and name it, or set scheduler.launcher to local"
        )
    return address


def prepare_ray(config: SchedulerConfig, environment: MutableMapping[str, str]) -> None:
    """Set Ray's variables: token authentication where a token is configured, no usage statistics.

    Ray reads them once, when it is imported.
    """
    environment["RAY_USAGE_STATS_ENABLED"] = "0"
    if config.ray_token_file is not None:
        environment["RAY_AUTH_MODE"] = "token"
        environment["RAY_AUTH_TOKEN_PATH"] = str(config.ray_token_file)
