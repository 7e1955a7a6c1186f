import os
from pathlib import Path

import pytest

from infra.errors import SetupError
from infra.home import Home, ensure_home
from infra.ray_head import clear_folder, folder_of, head_command, ray_environment, worker_cpus

# s/session_2026-11-22_18-31-45_937139_4194304/sockets/plasma_store and a NUL
_SOCKET = len("/s/session_2026-11-22_18-31-45_937139_4194304/sockets/plasma_store") + 1


@pytest.mark.parametrize("home", ["/var/lib/formwork", "/a/rather/long/home/" + "x" * 60])
def test_the_folder_leaves_room_for_a_sockets_path(home: str) -> None:
    folder = folder_of(Home(Path(home)))
    assert len(str(folder)) + _SOCKET <= 108
    assert folder != folder_of(Home(Path(home + "2")))


def test_what_an_earlier_head_left_is_cleared(tmp_path: Path) -> None:
    folder = tmp_path / "ray"
    (folder / "session_old" / "logs").mkdir(parents=True)
    (folder / "session_latest").symlink_to(folder / "session_old")
    (tmp_path / "kept").touch()
    (folder / "link").symlink_to(tmp_path)
    clear_folder(folder)
    assert list(folder.iterdir()) == []
    assert (tmp_path / "kept").exists()


def test_somebody_elses_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ray").symlink_to(tmp_path / "theirs")
    with pytest.raises(SetupError, match="remove it, Ray needs it"):
        clear_folder(tmp_path / "ray")


def test_the_head_asks_for_a_token_and_stays_on_loopback(tmp_path: Path) -> None:
    home = Home(tmp_path)
    ensure_home(home)
    environment = ray_environment(home, 20_000)
    assert environment["RAY_AUTH_MODE"] == "token"
    assert Path(environment["RAY_AUTH_TOKEN_PATH"]).stat().st_mode & 0o777 == 0o600
    command = head_command(tmp_path, 20_000, 20_001, 4)
    assert "--node-ip-address=127.0.0.1" in command
    assert "--include-dashboard=false" in command


def test_a_workers_successor_fits_beside_it() -> None:
    assert worker_cpus({"a": {"workers": 40}, "b": {}}) == max(os.cpu_count() or 1, 83)
