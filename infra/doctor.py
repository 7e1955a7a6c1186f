"""What must hold before a mesh is started, each with one line that says what to do."""

import os
import shutil
import sys
from collections.abc import Mapping

import psutil

from infra.errors import SetupError
from infra.home import Home, ensure_home, unwritable
from infra.ports import is_free

PORT_VARIABLE = "FORMWORK_HTTP_PORT"
DEFAULT_PORT = 8080
OLDEST_PYTHON = (3, 11)
# A new database cluster takes 40 MB, PostgreSQL's first write-ahead logs 80 MB, Ray's store 100 MB.
LEAST_FREE_BYTES = 500 * 1024 * 1024
_LAST_PORT = 65_535


def read_http_port(environment: Mapping[str, str]) -> int:
    """Return the port that FORMWORK_HTTP_PORT names, else 8080.

    Raises:
        SetupError: Not a port.
    """
    text = environment.get(PORT_VARIABLE) or str(DEFAULT_PORT)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _LAST_PORT:
        raise SetupError(f"{PORT_VARIABLE} must be a port, 1 to {_LAST_PORT}, not {text!r}")
    return int(text)


def check_machine(home: Home) -> None:
    """Return when this machine can run a mesh in the home, whose folders then exist.

    Raises:
        SetupError: It cannot; says what to do.
    """
    if sys.version_info < OLDEST_PYTHON:
        raise SetupError(
            f"Python {'.'.join(map(str, OLDEST_PYTHON))} or newer is needed, "
            f"this is {sys.version.split()[0]}: install one and remove .venv"
        )
    ensure_home(home)
    _check_disk(home)


def check_port(port: int) -> None:
    """Return when nobody listens on the HTTP port.

    Raises:
        SetupError: Somebody does.
    """
    if is_free(port):
        return
    reason = f"port {port} is taken{_holder(port)}"
    if port < 1024 and os.geteuid() != 0:  # noqa: PLR2004 - ports below are root's
        reason = f"port {port} is only for root"
    raise SetupError(f"{reason}: set {PORT_VARIABLE} to a free port")


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN
            if listens and (*connection.laddr, None, None)[1] == port and connection.pid:
                name = psutil.Process(connection.pid).name()
                return f" by {name} (process {connection.pid})"
    except psutil.Error:
        pass  # other users' sockets are not ours to see
    return ""


def _check_disk(home: Home) -> None:
    probe = home.run / f".probe.{os.getpid()}"
    try:
        probe.write_bytes(b"\0" * 4096)
        probe.unlink()
    except OSError as error:
        probe.unlink(missing_ok=True)
        raise unwritable(home.folder, error) from error
    free = shutil.disk_usage(home.folder).free
    if free < LEAST_FREE_BYTES:
        raise SetupError(
            f"only {free // 2**20} MB are free on the disk that holds {home.folder}, "
            f"{LEAST_FREE_BYTES // 2**20} MB are needed: free some space, "
            "or set FORMWORK_HOME to a folder on another disk"
        )
