import shutil
import socket
from collections import namedtuple
from pathlib import Path

import pytest

from infra.doctor import check_machine, check_port, read_http_port
from infra.errors import SetupError
from infra.home import Home
from infra.ports import LOOPBACK


def test_the_port_is_8080_unless_the_variable_names_another() -> None:
    assert read_http_port({}) == 8080
    assert read_http_port({"FORMWORK_HTTP_PORT": "9090"}) == 9090


@pytest.mark.parametrize("text", ["http", "0", "65536", "-1", "8080 "])
def test_what_is_not_a_port_is_refused_by_name(text: str) -> None:
    with pytest.raises(SetupError, match="FORMWORK_HTTP_PORT must be a port"):
        read_http_port({"FORMWORK_HTTP_PORT": text})


def test_a_taken_port_names_who_has_it_and_what_to_set() -> None:
    with socket.socket() as taker:
        taker.bind((LOOPBACK, 0))
        taker.listen()
        port = taker.getsockname()[1]
        with pytest.raises(SetupError, match=rf"port {port} is taken .*set FORMWORK_HTTP_PORT"):
            check_port(port)
    check_port(port)


def test_a_full_disk_says_how_much_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")  # noqa: PYI024 - as shutil's own
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(2**40, 2**40, 3 * 2**20))
    with pytest.raises(SetupError, match=r"only 3 MB are free .*500 MB are needed"):
        check_machine(Home(tmp_path / "home"))


def test_a_machine_that_fits_gets_its_folders(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    check_machine(home)
    assert list(home.run.iterdir()) == []
