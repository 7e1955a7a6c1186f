"""Makes the repository's `.venv`, or brings it up to date; runs before anything is installed.

Only the standard library is here. What is installed is decided by pyproject.toml, engine's,
constraints.txt and the engine's Rust files; a stamp in `.venv` tells whether that has been done.
"""

import errno
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).resolve().parent.parent
INPUTS = (
    "pyproject.toml",
    "constraints.txt",
    "infra/environment.py",
    "engine/pyproject.toml",
    "engine/scripts/rust_backend.py",
    "engine/cbindgen.toml",
    "engine/Cargo.toml",
    "engine/Cargo.lock",
)
RUST_SOURCES = "engine/src"
NEEDED_BYTES = 3 * 2**30
# torch comes first and alone: its pin wins over whatever the rest would settle on. What builds our
# own two packages is installed too, rather than fetched for each build, so that it is pinned.
STEPS = (
    ("installing torch (the largest download)", ("torch==2.13.0",)),
    ("installing build tools", ("hatchling", "editables", "maturin", "cffi")),
    (
        "building the grammar engine (Rust: 5 to 15 minutes on two cores)",
        ("--no-build-isolation", "--no-deps", "-e", "engine"),
    ),
    ("installing packages", ("--no-build-isolation", "-e", ".[dev]")),
)


class InstallError(Exception):
    """The environment cannot be made; the message says what to do."""


def make_stamp(repository: Path) -> str:
    """Return what an up-to-date environment of a repository is stamped with."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {repository}".encode())
    sources = sorted((repository / RUST_SOURCES).rglob("*.rs"))
    for path in (*(repository / name for name in INPUTS), *sources):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(repository)} {len(content)} ".encode())
        digest.update(content)
    return digest.hexdigest()


def ensure_environment(repository: Path) -> None:
    """Make `.venv` in the repository unless it is up to date.

    Raises:
        InstallError: It cannot be made.
    """
    folder = repository / ".venv"
    path, wanted = folder / "formwork.stamp", make_stamp(repository)
    if _read(path) == wanted and _works(folder):
        return
    with _one_at_a_time(repository):
        if _read(path) == wanted and _works(folder):
            return
        started = time.monotonic()
        path.unlink(missing_ok=True)
        _check(repository, folder)
        if not _works(folder):
            _create(folder)
        _install(repository, folder)
        path.write_text(wanted, encoding="ascii")
        _say(f"  {'environment':<14} {time.monotonic() - started:6.1f} s  {folder}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""


def _works(folder: Path) -> bool:
    """Tell whether the environment's Python runs, has pip, and is the version that runs us."""
    code = "import sys, pip; print(sys.version_info[:2])"
    try:
        answer = subprocess.run(  # noqa: S603 - the environment's own interpreter
            [folder / "bin" / "python", "-c", code], capture_output=True, text=True, check=False
        )
    except OSError:
        return False
    return answer.stdout.strip() == str(sys.version_info[:2])


@contextmanager
def _one_at_a_time(repository: Path) -> Iterator[None]:
    try:
        descriptor = os.open(repository / ".venv.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise InstallError(
            f"cannot write {repository} ({error.strerror}): clone it where you can"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _check(repository: Path, folder: Path) -> None:
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            version = ".".join(map(str, sys.version_info[:2]))
            raise InstallError(
                f"Python {version} has no {module} module: install it (on Debian: "
                f"apt install python{version}-venv), or name another Python with PYTHON="
            )
    _check_cargo(repository)
    free = shutil.disk_usage(repository).free
    if not folder.exists() and free < NEEDED_BYTES:
        raise InstallError(
            f"only {free // 2**20} MB are free on the disk that holds {repository}, "
            f"{NEEDED_BYTES // 2**20} MB are needed: free some space, or clone elsewhere"
        )


def _check_cargo(repository: Path) -> None:
    manifest = tomllib.loads((repository / "engine" / "Cargo.toml").read_text(encoding="utf-8"))
    needed = manifest["package"]["rust-version"]
    found = _cargo_version(repository / "engine")
    if found is None or _numbers(found) < _numbers(needed):
        problem = "is not on PATH" if found is None else f"is {found}"
        raise InstallError(
            f"cargo {problem}: the grammar engine is compiled, "
            f"install Rust {needed} or newer (https://rustup.rs)"
        )


def _cargo_version(folder: Path) -> str | None:
    try:
        answer = subprocess.run(
            ["cargo", "--version"],  # noqa: S607 - whichever cargo there is
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
        return answer.stdout.split()[1]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return None


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.partition("-")[0].split(".")]


def _create(folder: Path) -> None:
    _say("  environment    creating .venv")
    answer = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        raise InstallError(f"cannot create {folder}: {_last_line(answer.stdout + answer.stderr)}")


def _install(repository: Path, folder: Path) -> None:
    path = folder / "install.log"
    with path.open("w", encoding="utf-8") as log:
        for doing, arguments in STEPS:
            _say(f"  environment    {doing}")
            if _pip(repository, folder, arguments, log) != 0:
                raise InstallError(
                    f"pip failed: {_last_line(_read_text(path))} (all of it: {path})"
                )


def _pip(repository: Path, folder: Path, arguments: tuple[str, ...], log: IO[str]) -> int:
    return subprocess.run(  # noqa: S603 - the environment's own interpreter
        [
            str(folder / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-input",
            "--progress-bar=off",
            "--constraint=constraints.txt",
            *arguments,
        ],
        cwd=repository,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        check=False,
    ).returncode


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["no message"])[-1]


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Make the environment; return the exit status."""
    try:
        ensure_environment(REPOSITORY)
    except InstallError as error:
        sys.stderr.write(f"formwork: {error}\n")
        return 1
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = ": the disk is full, free some space" if full else f": {error}"
        sys.stderr.write(f"formwork: cannot make .venv{hint}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
