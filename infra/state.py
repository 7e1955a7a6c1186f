"""What the supervisor tells the commands: how far it is, and which processes are its own."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from infra.home import write_private
from infra.process_table import Identity


class StageStatus(StrEnum):
    """How far one stage of the start is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Stage:
    """One stage of the start, as `make run` shows it."""

    name: str
    status: StageStatus
    seconds: float = 0.0
    detail: str = ""
    """What is there now, or why it failed and what to do."""


@dataclass(frozen=True)
class ChildState:
    """One supervised process."""

    identity: Identity
    stop_signal: int
    restarts: int = 0


@dataclass
class MeshState:
    """All of it."""

    supervisor: Identity
    http_port: int
    stages: dict[str, Stage] = field(default_factory=dict)
    children: dict[str, ChildState] = field(default_factory=dict)
    is_up: bool = False


class StateFile:
    """Holds a `MeshState`, written whole at every change.

    Args:
        path: The file.
        state: What it starts with.
    """

    def __init__(self, path: Path, state: MeshState) -> None:
        self._path = path
        self.state = state
        self._write()

    def change(self, change: Callable[[MeshState], None]) -> None:
        """Apply a change and write it down."""
        change(self.state)
        self._write()

    def _write(self) -> None:
        write_private(self._path, json.dumps(asdict(self.state)))


def find_state(path: Path) -> MeshState | None:
    """Return what the file holds; None when it is absent or torn."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return _parse(document)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _parse(document: Mapping[str, Any]) -> MeshState:
    stages = {
        name: Stage(**{**values, "status": StageStatus(values["status"])})
        for name, values in document["stages"].items()
    }
    children = {
        name: ChildState(**{**values, "identity": Identity(**values["identity"])})
        for name, values in document["children"].items()
    }
    return MeshState(
        Identity(**document["supervisor"]),
        document["http_port"],
        stages,
        children,
        document["is_up"],
    )
