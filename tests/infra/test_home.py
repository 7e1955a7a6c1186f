import os
import stat
from pathlib import Path

import pytest

from infra.errors import SetupError
from infra.home import Home, ensure_home, ensure_secret, find_home, unwritable, write_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_variable_names_the_home() -> None:
    assert find_home({"FORMWORK_HOME": "/some/where"}).folder == Path("/some/where")


def test_a_relative_home_is_made_absolute() -> None:
    assert find_home({"FORMWORK_HOME": "state"}).folder == Path.cwd() / "state"


def test_the_default_is_a_system_folder_for_root_and_the_users_own_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert find_home({}).folder == Path("/var/lib/formwork")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert find_home({"XDG_DATA_HOME": "/data"}).folder == Path("/data/formwork")


def test_others_may_pass_through_the_home_and_read_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    ensure_home(home)
    assert mode(home.folder) == 0o711
    assert {mode(folder) for folder in (home.run, home.log, home.secrets)} == {0o700}


def test_a_secret_is_made_once_and_is_private(tmp_path: Path) -> None:
    first = ensure_secret(tmp_path / "secret")
    assert len(first) >= 32
    assert ensure_secret(tmp_path / "secret") == first
    assert mode(tmp_path / "secret") == 0o600
    assert ensure_secret(tmp_path / "other") != first


def test_a_private_file_replaces_the_one_before_whole(tmp_path: Path) -> None:
    write_private(tmp_path / "file", "old")
    write_private(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_home_below_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="set FORMWORK_HOME to a folder that you can write"):
        ensure_home(Home(tmp_path / "file" / "home"))


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (28, "the disk that holds .* is full: free some space"),
        (30, "is read-only: set FORMWORK_HOME"),
        (13, r"\(Permission denied\): set FORMWORK_HOME"),
    ],
)
def test_what_cannot_be_written_says_why_and_what_to_do(number: int, says: str) -> None:
    error = unwritable(Path("/x"), OSError(number, os.strerror(number)))
    with pytest.raises(SetupError, match=says):
        raise error
