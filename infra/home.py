"""FORMWORK_HOME: the one folder that holds a mesh's state, secrets and logs."""

import errno
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.errors import SetupError

HOME_VARIABLE = "FORMWORK_HOME"
_SECRET_MODE = 0o600
# Others may pass through (the database runs as another user), and see nothing.
_HOME_MODE = 0o711
_PRIVATE_MODE = 0o700


@dataclass(frozen=True)
class Home:
    """Where a mesh keeps what."""

    folder: Path

    @property
    def run(self) -> Path:
        """Pid file, state, ports and the generated configuration."""
        return self.folder / "run"

    @property
    def log(self) -> Path:
        """One log per process."""
        return self.folder / "log"

    @property
    def secrets(self) -> Path:
        """Tokens, keys and passwords, each in a file that only its owner reads."""
        return self.folder / "secrets"

    @property
    def postgres(self) -> Path:
        """The embedded database; belongs to the user it runs as."""
        return self.folder / "postgres"

    @property
    def client_env(self) -> Path:
        """OPENAI_BASE_URL and OPENAI_API_KEY for clients."""
        return self.folder / "client.env"


def find_home(environment: Mapping[str, str] | None = None) -> Home:
    """Return the home that FORMWORK_HOME names, else the user's default; nothing is created."""
    environment = os.environ if environment is None else environment
    named = environment.get(HOME_VARIABLE)
    if named:
        return Home(Path(named).expanduser().absolute())
    if os.geteuid() == 0:
        return Home(Path("/var/lib/formwork"))
    data = environment.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Home(Path(data) / "formwork")


def ensure_home(home: Home) -> None:
    """Create the home's folders with their modes.

    Raises:
        SetupError: They cannot be created or written.
    """
    try:
        _ensure_folder(home.folder, _HOME_MODE)
        for folder in (home.run, home.log, home.secrets):
            _ensure_folder(folder, _PRIVATE_MODE)
    except OSError as error:
        raise unwritable(home.folder, error) from error


def _ensure_folder(folder: Path, mode: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(mode)


def ensure_secret(path: Path) -> str:
    """Return the secret in a file, made of 256 random bits if there is none yet."""
    try:
        if not path.exists():
            write_private(path, secrets.token_urlsafe(32))
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise unwritable(path, error) from error


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, whole or not at all.

    Raises:
        SetupError: It cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _SECRET_MODE)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> SetupError:
    """Return the one line for a file or folder that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SetupError(
            f"the disk that holds {path} is full: free some space, "
            f"or set {HOME_VARIABLE} to a folder on another disk"
        )
    reason = "is read-only" if error.errno == errno.EROFS else f"({error.strerror})"
    return SetupError(
        f"cannot write {path} {reason}: set {HOME_VARIABLE} to a folder that you can write"
    )
