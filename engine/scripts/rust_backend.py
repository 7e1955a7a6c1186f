"""Builds the package with maturin, after telling in one line what is missing of Rust (PEP 517)."""
# ruff: noqa: INP001 - pip starts it, nothing imports it

import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import maturin
from maturin import (  # noqa: F401 - the hooks that a front end calls
    build_editable,
    build_sdist,
    build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

_CARGO_TOML = Path(__file__).resolve().parent.parent / "Cargo.toml"


def get_requires_for_build_wheel(config_settings: dict[str, str] | None = None) -> list[str]:
    """Return what else a wheel needs."""
    return maturin.get_requires_for_build_wheel(config_settings)


def get_requires_for_build_editable(config_settings: dict[str, str] | None = None) -> list[str]:
    """Return what else an editable install needs."""
    return maturin.get_requires_for_build_editable(config_settings)


def get_requires_for_build_sdist(config_settings: dict[str, str] | None = None) -> list[str]:
    """Return what else a source distribution needs."""
    return maturin.get_requires_for_build_sdist(config_settings)


def _check_rust() -> None:
    package = tomllib.loads(_CARGO_TOML.read_text(encoding="utf-8"))["package"]
    needed = package["rust-version"]
    found = _version_of("rustc")
    if _version_of("cargo") is None or found is None:
        problem = "cargo and rustc are not on PATH"
    elif _numbers(found) < _numbers(needed):
        problem = f"rustc is {found}"
    else:
        return
    sys.exit(f"ERROR: {package['name']} is compiled: install Rust {needed} or newer ({problem})")


def _version_of(program: str) -> str | None:
    try:
        answer = subprocess.run(  # noqa: S603 - one of two fixed names
            [program, "--version"],
            cwd=_CARGO_TOML.parent,
            capture_output=True,
            text=True,
            check=True,
        )
        return answer.stdout.split()[1]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return None


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.partition("-")[0].split(".")]


# Maturin is started by name, which works only where its environment has been activated; and it
# would fetch a Rust of its own.
os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
os.environ["MATURIN_NO_INSTALL_RUST"] = "1"
_check_rust()
