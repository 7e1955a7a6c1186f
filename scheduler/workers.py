"""Which workers there are, learnt from their Renew calls alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mesh.ids import Snapshot, WorkerId
from scheduler.records import Place


class WorkerState(StrEnum):
    """What a worker says of itself."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


@dataclass(frozen=True)
class Load:
    """How busy a worker says it is; the rate is of its last ten seconds."""

    slots: int = 0
    slots_used: int = 0
    waiting: int = 0
    tokens_per_second: float = 0.0


@dataclass(frozen=True)
class Worker:
    """A worker as it last described itself."""

    place: Place
    snapshot: Snapshot
    state: WorkerState
    load: Load
    seen_at: float
    """Monotonic seconds of its last Renew."""


class WorkerRegistry:
    """The workers that renew.

    Args:
        lost_seconds: A worker that is silent for this long gets no requests.
        forget_seconds: One that is silent for this long is no longer listed.
    """

    def __init__(self, lost_seconds: float, forget_seconds: float = 60.0) -> None:
        self._lost_seconds = lost_seconds
        self._forget_seconds = forget_seconds
        self._workers: dict[WorkerId, Worker] = {}
        self._had_at: dict[Snapshot, float] = {}
        """When a snapshot last had a worker that took requests; else when it was first missed."""

    def record(self, worker: Worker) -> None:
        """Take what a worker says; another address under the same id is its replacement."""
        self._workers[worker.place.worker_id] = worker
        if _takes_requests(worker):
            self._had_at[worker.snapshot] = worker.seen_at

    def find(self, worker_id: WorkerId) -> Worker | None:
        """Return a worker by its id, lost or not."""
        return self._workers.get(worker_id)

    def ready(self, snapshot: Snapshot, now: float) -> Sequence[Worker]:
        """Return the workers that can take requests for a snapshot at `now`, monotonic seconds."""
        return [
            worker
            for worker in self._workers.values()
            if worker.snapshot == snapshot
            and _takes_requests(worker)
            and not self.is_lost(worker, now)
        ]

    def missing_seconds(self, snapshot: Snapshot, now: float) -> float:
        """Return how long ago a snapshot last had a worker, or, without any yet, was asked for."""
        return now - self._had_at.setdefault(snapshot, now)

    def present(self, now: float) -> Sequence[Worker]:
        """Return the workers that are not lost, whatever they say of themselves."""
        return [worker for worker in self._workers.values() if not self.is_lost(worker, now)]

    def is_starting(self, snapshot: Snapshot, now: float) -> bool:
        """Tell whether a worker for a snapshot says that it will be ready."""
        return any(
            worker.snapshot == snapshot and worker.state is WorkerState.STARTING
            for worker in self.present(now)
        )

    def is_lost(self, worker: Worker, now: float) -> bool:
        """Return whether a worker has been silent for too long."""
        return now - worker.seen_at >= self._lost_seconds

    def forget_silent(self, now: float) -> None:
        """Drop the workers of which nothing has been heard for long."""
        self._workers = {
            worker_id: worker
            for worker_id, worker in self._workers.items()
            if now - worker.seen_at < self._forget_seconds
        }


def _takes_requests(worker: Worker) -> bool:
    return worker.state is WorkerState.READY and worker.load.slots > 0
