"""One log file per process, kept below a size."""

import os
import shutil
from pathlib import Path
from typing import IO

MAX_BYTES = 16 * 1024 * 1024
_MODE = 0o600


def open_log(path: Path) -> IO[bytes]:
    """Return the file for appending, which goes on working when the file is cut."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _MODE)
    return os.fdopen(descriptor, "wb", buffering=0)


def bound_logs(folder: Path, max_bytes: int = MAX_BYTES) -> None:
    """Copy each log that has grown too large to `<name>.1` and empty it.

    Copied and cut rather than renamed: the writers keep their open files. What is written between
    the two steps is lost.
    """
    for path in folder.glob("*.log"):
        if path.stat().st_size > max_bytes:
            shutil.copyfile(path, path.with_name(f"{path.name}.1"))
            os.truncate(path, 0)


def tail(path: Path, lines: int = 1) -> str:
    """Return the last lines of a log that are not empty."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])
