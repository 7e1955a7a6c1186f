"""Where workers come from: the interface of every launcher, and what all of them share."""

from collections.abc import Mapping
from typing import Protocol

from mesh.ids import Snapshot, WorkerId

# What a worker reads, and nothing else of the scheduler's environment: no database, no Ray token.
_WORKER_VARIABLES = frozenset(
    {
        "FORMWORK_CONFIG",
        "FORMWORK_HOME",
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "CUDA_VISIBLE_DEVICES",
        "HF_HUB_OFFLINE",
    }
)
_WORKER_SECTIONS = ("FORMWORK_MESH_", "FORMWORK_SAMPLER_")


class LaunchError(Exception):
    """A launcher cannot do what was asked; trying again later may help."""


class WorkerLauncher(Protocol):
    """Runs worker processes, each under its own id.

    Every method raises LaunchError while the place where workers run does not answer.
    """

    async def start(self, worker_id: WorkerId, snapshot: Snapshot) -> None:
        """Start a worker and return before it serves; one that runs under this id stays."""

    async def stop(self, worker_id: WorkerId, *, grace_seconds: float) -> None:
        """Stop a worker and return when it is gone; nothing happens where there is none.

        Args:
            worker_id: Which.
            grace_seconds: How long its sequences may take to end; 0 kills it.
        """

    async def list_workers(self) -> frozenset[WorkerId]:
        """Return the workers whose processes run or are being started."""

    async def close(self) -> None:
        """Let go of the workers; those that can outlive this process do."""


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what a worker gets of the scheduler's environment."""
    return {
        name: value
        for name, value in environment.items()
        if name in _WORKER_VARIABLES or name.startswith(_WORKER_SECTIONS)
    }
