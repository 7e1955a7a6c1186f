"""The embedded PostgreSQL: a data folder of our own, TCP on loopback, passwords for everybody."""

import contextlib
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil
import psycopg

from infra.errors import SetupError
from infra.home import Home, ensure_secret, unwritable, write_private
from infra.ports import LOOPBACK
from infra.postgres_binaries import Binaries, find_binaries, program_environment
from infra.urls import Url

SUPERUSER = "formwork_admin"
_START_SECONDS = 30.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.05

_HBA = f"""\
# Written by Formwork at each start: loopback only, a password for everybody.
host all all {LOOPBACK}/32 scram-sha-256
"""


@dataclass(frozen=True)
class EmbeddedPostgres:
    """A PostgreSQL that is ours to start and stop.

    `durable=False` gives up crash safety for speed: for tests.
    """

    binaries: Binaries
    folder: Path
    """Holds `data`; belongs to the database's user."""
    password: str
    port: int
    durable: bool = True

    @property
    def data(self) -> Path:
        """PostgreSQL's data folder."""
        return self.folder / "data"

    def admin_url(self, database: str = "postgres") -> Url:
        """Return the URL of the superuser."""
        return Url(SUPERUSER, self.password, LOOPBACK, self.port, database)

    def prepare(self) -> None:
        """Create the data folder if there is none, and write who may connect.

        Raises:
            SetupError: It cannot be created, or another major version made it.
        """
        _ensure_owned(self.folder, self.binaries)
        if not self.data.exists():
            _initialise(self)
        _check_version(self)
        try:
            (self.data / "pg_hba.conf").write_text(_HBA, encoding="ascii")
        except OSError as error:
            raise unwritable(self.data, error) from error

    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground."""
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "password_encryption": "scram-sha-256",
            "max_connections": "100",
            "shared_buffers": "64MB",
            "logging_collector": "off",
        }
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return [str(self.binaries.folder / "postgres"), "-D", str(self.data), *options]

    def start(self, log: IO[bytes] | int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Return the started server; it may not answer yet."""
        clear_stale_pid(self.data)
        user = self.binaries.user
        return subprocess.Popen(  # noqa: S603 - our own program
            self.command(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=program_environment(),
            cwd="/",
            start_new_session=True,
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=[] if user else None,
        )

    def answers(self) -> bool:
        """Tell whether a statement is answered now."""
        try:
            with psycopg.connect(str(self.admin_url()), connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        """Return when the server answers.

        Raises:
            SetupError: It ended, or does not answer in time.
        """
        deadline = time.monotonic() + _START_SECONDS
        while not self.answers():
            if process.poll() is not None:
                raise SetupError(f"PostgreSQL ended at its start with status {process.returncode}")
            if time.monotonic() > deadline:
                raise SetupError(f"PostgreSQL does not answer after {_START_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)


def open_embedded(home: Home, port: int, *, durable: bool = True) -> EmbeddedPostgres:
    """Return a home's embedded PostgreSQL, prepared and not started.

    Raises:
        SetupError: No binaries, or no usable data folder.
    """
    binaries = find_binaries(home.folder / "cache" / "postgresql")
    password = ensure_secret(home.secrets / f"{SUPERUSER}.password")
    server = EmbeddedPostgres(binaries, home.postgres, password, port, durable)
    server.prepare()
    return server


def find_server(data: Path) -> psutil.Process | None:
    """Return the process that serves the data folder; None if its pid file is stale or absent."""
    try:
        pid = int((data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
        process = psutil.Process(pid)
        ours = process.name() == "postgres" and Path(process.cwd()) == data.resolve()
    except (OSError, ValueError, psutil.Error):
        return None
    return process if ours and process.status() != psutil.STATUS_ZOMBIE else None


def clear_stale_pid(data: Path) -> None:
    """Remove a pid file whose process is not our server: its number may be somebody else's now.

    Raises:
        SetupError: The server runs.
    """
    process = find_server(data)
    if process is not None:
        raise SetupError(
            f"PostgreSQL already runs in {data} (process {process.pid}): `make down` stops it"
        )
    (data / "postmaster.pid").unlink(missing_ok=True)


def stop_server(data: Path) -> None:
    """End the data folder's server, if one runs: SIGINT cuts its clients, SIGTERM would wait."""
    process = find_server(data)
    if process is None:
        return
    for number in (signal.SIGINT, signal.SIGQUIT):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        try:
            process.wait(_STOP_SECONDS)
        except psutil.TimeoutExpired:
            continue
        return


def _ensure_owned(folder: Path, binaries: Binaries) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        binaries.give(folder)
    except OSError as error:
        raise unwritable(folder, error) from error


def _initialise(server: EmbeddedPostgres) -> None:
    """Make the data folder whole or not at all: initdb fills a draft that is then renamed."""
    draft, password_file = server.folder / "data.new", server.folder / "initdb.password"
    shutil.rmtree(draft, ignore_errors=True)
    write_private(password_file, server.password)
    server.binaries.give(password_file)
    try:
        answer = server.binaries.run("initdb", *_initdb_arguments(server, draft, password_file))
    finally:
        password_file.unlink(missing_ok=True)
    if answer.returncode != 0:
        raise SetupError(f"initdb failed in {draft}: {_last_line(answer.stderr)}")
    draft.rename(server.data)


def _initdb_arguments(server: EmbeddedPostgres, draft: Path, password_file: Path) -> list[str]:
    return [
        f"--pgdata={draft}",
        f"--username={SUPERUSER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--no-locale",
        *([] if server.durable else ["--no-sync"]),
    ]


def _check_version(server: EmbeddedPostgres) -> None:
    try:
        made_by = (server.data / "PG_VERSION").read_text(encoding="ascii").strip()
    except OSError as error:
        raise SetupError(f"{server.data} is not a PostgreSQL data folder: move it away") from error
    if made_by != str(server.binaries.major):
        raise SetupError(
            f"{server.data} was made by PostgreSQL {made_by}, and {server.binaries.major} is here: "
            "dump it with the old version and load it into a new FORMWORK_HOME"
        )


def _last_line(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line]
    return (errors or lines or ["no message"])[-1].strip()
