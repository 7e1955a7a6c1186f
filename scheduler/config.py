"""Section `scheduler` of the configuration."""

from dataclasses import dataclass
from pathlib import Path

LAUNCHERS = ("ray", "local")


@dataclass(frozen=True)
class SchedulerConfig:
    """How requests wait, how leases live and how workers are kept."""

    launcher: str = "ray"
    """Starts workers: `ray`, or `local` subprocesses."""
    ray_address: str = ""
    """`host:port` of the Ray head; RAY_ADDRESS where empty."""
    ray_namespace: str = "formwork"
    """Keeps two meshes on one Ray cluster apart."""
    ray_token_file: Path | None = None
    """Ray's cluster token; Ray's own variables and default file where absent."""
    worker_cpus: float = 1.0
    """CPUs that Ray sets aside for a worker without a GPU."""
    worker_gpus: float = 1.0

    oversubscription: float = 2.0
    """Live sequences a worker may hold, per slot: those that wait for an index use no slot. Of one
    project half a sequence less, so that others have room beside it; a request of more choices is
    let in where its project holds nothing, and holds up that project alone."""
    queue_priority: int = 512
    queue_default: int = 512
    queue_flex: int = 512
    queue_batch: int = 512
    """Most requests that wait, by service tier, for each snapshot."""
    floor_default: int = 8
    floor_flex: int = 16
    floor_batch: int = 32
    """Grants that may pass a waiting service tier before one of its requests goes first."""
    max_queue_seconds: float = 60.0
    no_worker_seconds: float = 20.0
    """How long a request waits while no worker of its snapshot is up; where that has been so for
    three times as long, not at all."""
    max_choices: int = 128

    lease_ttl_seconds: float = 15.0
    """A lease that no worker opened within this time is void."""
    gateway_grace_seconds: float = 15.0
    """A reported lease without Settle for this long has lost its gateway: the worker's counts."""
    sweep_grace_seconds: float = 30.0
    """An open lease of which nothing is heard for this long has lost both: the last checkpoint."""
    sweep_seconds: float = 1.0
    checkpoint_seconds: float = 5.0
    """How often a live lease's checkpoint is written."""
    closed_memory_seconds: float = 600.0
    """How long a closed lease answers from memory; later from the database."""
    write_retry_seconds: float = 3.0
    """How long a write is tried again while the database is away."""
    max_pending_writes: int = 20_000
    max_write_batch: int = 500

    worker_lost_seconds: float = 3.0
    """A worker that has not renewed for this long gets no requests."""
    worker_hung_seconds: float = 30.0
    """A running worker that has not renewed for this long is replaced."""
    worker_start_seconds: float = 180.0
    """A worker that was started and never renewed within this time is replaced."""
    worker_stop_seconds: float = 15.0
    """How long a worker may let its sequences end when it is stopped."""
    reconcile_seconds: float = 0.5
    backoff_seconds: float = 0.5
    max_backoff_seconds: float = 30.0
    """Between starts of one worker that keeps failing: doubled each time, up to this."""

    def __post_init__(self) -> None:
        if self.launcher not in LAUNCHERS:
            raise ValueError(f"launcher must be one of {', '.join(LAUNCHERS)}")
        if self.oversubscription < 1:
            raise ValueError("oversubscription must be at least 1")
        if min(self.floor_default, self.floor_flex, self.floor_batch) < 1:
            raise ValueError("a floor must be at least 1")
        if self.max_write_batch < 1 or self.max_pending_writes < 1:
            raise ValueError("max_write_batch and max_pending_writes must be at least 1")
