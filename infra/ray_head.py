"""Our own Ray head: one process group on loopback, with a token, that keeps nothing."""

import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psutil

from infra.errors import SetupError
from infra.home import Home, ensure_secret
from infra.ports import LOOPBACK
from infra.process_table import Identity, find_living

# Ray puts `session_<date>_<time>_<pid>/sockets/plasma_store` below its folder, and a Unix socket's
# path has at most 107 bytes (unix(7); 103 on macOS).
_LONGEST_FOLDER = 38
_OPEN_FOLDER = "s"  # Ray opens its folder to everybody, so it gets one below ours
_OBJECT_STORE_BYTES = 100_000_000  # Ray's least is 75 MB; nothing of ours goes through it
_LOG_BYTES = 16 * 1024 * 1024
_PARTS = frozenset({"gcs_server", "raylet"})


def token_file(home: Home) -> Path:
    """Return the file with the cluster's token, made where it is missing."""
    path = home.secrets / "ray.token"
    ensure_secret(path)
    return path


def ray_environment(home: Home, port: int) -> dict[str, str]:
    """Return what the head and everybody who joins it have in their environment."""
    return {
        "RAY_ADDRESS": f"{LOOPBACK}:{port}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_file(home)),
        "RAY_USAGE_STATS_ENABLED": "0",
        # Ray rewrites 127.0.0.1 to an address that other machines reach, except on systems where
        # it expects a single node; this variable says that ours is one.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_ROTATION_MAX_BYTES": str(_LOG_BYTES),
        "RAY_ROTATION_BACKUP_COUNT": "1",
    }


def head_command(folder: Path, port: int, client_port: int, cpus: int) -> list[str]:
    """Return the command that runs a head in the foreground.

    Args:
        folder: Ours alone; sockets and Ray's own logs go below it; short.
        port: Of the head.
        client_port: Of Ray's client server, which cannot be left out.
        cpus: How many CPUs Ray may promise.
    """
    return [
        str(Path(sys.executable).with_name("ray")),
        "start",
        "--head",
        "--block",
        f"--node-ip-address={LOOPBACK}",
        f"--port={port}",
        f"--ray-client-server-port={client_port}",
        f"--num-cpus={cpus}",
        f"--object-store-memory={_OBJECT_STORE_BYTES}",
        f"--temp-dir={folder / _OPEN_FOLDER}",
        "--include-dashboard=false",
        "--include-log-monitor=false",
        "--disable-usage-stats",
        "--log-style=record",
        "--log-color=false",
    ]


def folder_of(home: Home) -> Path:
    """Return the folder of a home's head: in the home, unless that is too long for its sockets."""
    folder = home.folder / "ray"
    if len(str(folder)) <= _LONGEST_FOLDER:
        return folder
    name = hashlib.sha256(str(home.folder).encode()).hexdigest()[:10]
    return Path(tempfile.gettempdir()).resolve() / f"formwork-{name}"


def clear_folder(folder: Path) -> None:
    """Make the folder ours and empty: what an earlier head left cannot be joined again.

    Raises:
        SetupError: Somebody else made the folder.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        raise SetupError(f"{folder} belongs to another user: remove it, Ray needs it")
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def serves(head: Identity) -> bool:
    """Tell whether a head's control store and node both listen."""
    process = find_living(head)
    if process is None:
        return False
    listening = set()
    with contextlib.suppress(psutil.Error):
        for child in process.children():
            if any(c.status == psutil.CONN_LISTEN for c in child.net_connections("tcp")):
                listening.add(child.name())
    return listening >= _PARTS


def is_whole(head: Identity) -> bool:
    """Tell whether a head still has its control store and its node.

    The node ends itself, in good order, when one of its agents is lost; `ray start --block` takes
    that for a wish and lives on, a cluster in which nothing can ever run.
    """
    process = find_living(head)
    names = set()
    with contextlib.suppress(OSError, psutil.Error):
        for child in process.children() if process is not None else ():
            if child.status() != psutil.STATUS_ZOMBIE:
                names.add(child.name())
    return names >= _PARTS


def worker_cpus(models: Mapping[str, Mapping[str, object]]) -> int:
    """Return how many CPUs Ray may promise: a worker's successor must fit beside it."""
    wanted = 0
    for model in models.values():
        count = model.get("workers", 1)
        wanted += count if isinstance(count, int) else 1
    return max(os.cpu_count() or 1, 2 * wanted + 1)
