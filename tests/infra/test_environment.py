import importlib.util
import re
import shutil
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from infra import environment
from infra.environment import (
    INPUTS,
    RUST_SOURCES,
    InstallError,
    ensure_environment,
    make_stamp,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """What decides an environment, copied, without one."""
    for name in INPUTS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / RUST_SOURCES, tmp_path / RUST_SOURCES)
    return tmp_path


@pytest.fixture
def binaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH, empty."""
    folder = tmp_path / "binaries"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def pretend_environment(repository: Path) -> Path:
    binaries = repository / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to(sys.executable)
    return repository / ".venv" / "formwork.stamp"


@pytest.mark.parametrize("name", INPUTS)
def test_the_stamp_follows_whatever_decides_what_is_installed(repository: Path, name: str) -> None:
    before = make_stamp(repository)
    with (repository / name).open("a") as file:
        file.write("\n# changed\n")
    assert make_stamp(repository) != before


def test_the_stamp_follows_the_rust_files(repository: Path) -> None:
    stamps = [make_stamp(repository)]
    source = repository / RUST_SOURCES / "schema" / "translate.rs"
    source.write_text(source.read_text() + "\n")
    stamps.append(make_stamp(repository))
    source.rename(source.with_name("translation.rs"))
    stamps.append(make_stamp(repository))
    assert len(set(stamps)) == len(stamps)


def test_an_environment_with_its_stamp_is_left_alone(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_environment(repository).write_text(make_stamp(repository))
    monkeypatch.setattr(environment, "STEPS", (("nothing", ("no-such-package-is-asked-for",)),))
    ensure_environment(repository)
    assert not (repository / ".venv" / "install.log").exists()


def test_a_pip_that_fails_is_one_line_and_leaves_no_stamp(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamp = pretend_environment(repository)
    monkeypatch.setattr(environment, "STEPS", (("nothing", ("./no-such-folder",)),))
    with pytest.raises(InstallError, match=r"pip failed: .*no-such-folder.*install\.log"):
        ensure_environment(repository)
    assert not stamp.exists()


def test_a_python_without_venv_says_what_to_install(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(InstallError, match="has no venv module: install it"):
        ensure_environment(repository)


def test_a_missing_cargo_is_one_line(repository: Path, binaries: Path) -> None:
    assert list(binaries.iterdir()) == []
    with pytest.raises(
        InstallError, match=r"cargo is not on PATH: .*, install Rust 1\.\d+ or newer"
    ):
        ensure_environment(repository)


def test_a_cargo_that_is_too_old_is_one_line(repository: Path, binaries: Path) -> None:
    cargo = binaries / "cargo"
    cargo.write_text("#!/bin/sh\necho 'cargo 1.9.0-nightly (abc 2016-05-24)'\n")
    cargo.chmod(0o755)
    with pytest.raises(InstallError, match=r"cargo is 1\.9\.0-nightly: .*, install Rust 1\.\d+"):
        ensure_environment(repository)


def test_a_full_disk_is_noticed_before_the_download(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")  # noqa: PYI024 - as shutil's own
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(2**40, 2**40, 2**20))
    with pytest.raises(InstallError, match="only 1 MB are free"):
        ensure_environment(repository)


def test_every_pin_is_exact_and_names_no_place() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert "torch==2.13.0" in pins
    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)] == []
