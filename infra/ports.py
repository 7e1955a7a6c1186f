"""Ports of a mesh: chosen free once, remembered, chosen anew when somebody else has taken one."""

import json
import socket
from pathlib import Path

from infra.home import write_private

LOOPBACK = "127.0.0.1"
# Below the range that Linux hands to outgoing connections, and outside 10002-19999, which Ray
# keeps for its workers and refuses for its head.
_FIRST, _LAST = 20_000, 32_000


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Tell whether somebody could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


class Ports:
    """Ports by name, remembered in a file.

    Args:
        path: The file; made by the first `choose`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ports = _read(path)

    def find(self, name: str) -> int | None:
        """Return the port that was chosen last, if one was."""
        return self._ports.get(name)

    def choose(self, name: str) -> int:
        """Return the remembered port if it is free, else a free one, remembered from now on."""
        port = self._ports.get(name)
        if port is not None and is_free(port):
            return port
        self._ports[name] = self._find_free()
        write_private(self._path, json.dumps(self._ports))
        return self._ports[name]

    def _find_free(self) -> int:
        # A start that differs by process spares two meshes, started at once, each other's choice.
        start = _FIRST + hash(str(self._path)) % (_LAST - _FIRST)
        taken = set(self._ports.values())
        for offset in range(_LAST - _FIRST):
            port = _FIRST + (start - _FIRST + offset) % (_LAST - _FIRST)
            if port not in taken and is_free(port):
                return port
        raise OSError("no free port")


def _read(path: Path) -> dict[str, int]:
    try:
        ports = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # a lost or torn file costs new ports, nothing else
    return {name: port for name, port in ports.items() if isinstance(port, int)}
