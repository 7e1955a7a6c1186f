"""Ray's driver in a process of its own: `python -m scheduler.ray_driver`, run by the scheduler.

Ray ends the process of a driver that has lost its head for a minute, and a driver cannot follow a
head that was started again. So that neither is the scheduler's concern, it talks to this process: a
line of JSON in, a line out. The first line is the place; each later one is `{"id", "verb", ...}`,
answered by `{"id", "answer"}` or `{"id", "error"}`, in any order. It ends with its input.
"""

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

from mesh.config import MeshConfig, load_settings
from mesh.ids import Snapshot, WorkerId
from mesh.logs import configure_logs
from scheduler.launcher_ray import RayActors
from scheduler.ray_place import RayPlace

_MOST_CALLS_AT_ONCE = 8
_HEAD_SECONDS = 20.0
_POLL_SECONDS = 0.1

Call = Mapping[str, Any]


def answer(actors: RayActors, call: Call) -> dict[str, Any]:
    """Return the answer to one call."""
    verbs: dict[str, Callable[[], object]] = {
        "start": lambda: actors.start(WorkerId(call["worker_id"]), Snapshot(call["snapshot"])),
        "stop": lambda: actors.stop(WorkerId(call["worker_id"]), call["grace_seconds"]),
        "list": actors.list_workers,
    }
    try:
        return {"id": call["id"], "answer": verbs[call["verb"]]()}
    except Exception as error:  # noqa: BLE001 - Ray raises many kinds; the scheduler hears of each
        return {"id": call["id"], "error": f"{type(error).__name__}: {error}"}


def serve(actors: RayActors, calls: IO[str], answers: IO[str]) -> None:
    """Answer calls until there are no more; several at once, for a stop may take its time."""

    def reply(line: str) -> None:
        # One write for a line: the lines of several threads do not mix.
        answers.write(json.dumps(answer(actors, json.loads(line))) + "\n")
        answers.flush()

    with ThreadPoolExecutor(max_workers=_MOST_CALLS_AT_ONCE) as threads:
        for line in calls:
            threads.submit(reply, line)


def wait_for_head(address: str, seconds: float = _HEAD_SECONDS) -> None:
    """Return when something listens at `host:port`, or the time is over.

    The head and this process start together; Ray, asked too early, tries again only seconds later.
    """
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), timeout=1.0).close()
        except OSError:
            time.sleep(_POLL_SECONDS)
        else:
            return


def main() -> None:
    """Join the cluster and serve."""
    # Ray prints to standard output what it likes: the answers get a way of their own.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    mesh = load_settings().section("mesh", MeshConfig)
    configure_logs("ray_driver", log_format=mesh.log_format, level=mesh.log_level)
    place = RayPlace(**json.loads(sys.stdin.readline()))
    actors = RayActors(place, os.environ)
    wait_for_head(place.address)
    actors.join()
    serve(actors, sys.stdin, answers)
    # Ray's own farewell waits for a head that may be gone; there is nothing here to say goodbye to.
    os._exit(0)


if __name__ == "__main__":
    main()
