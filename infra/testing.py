"""A real PostgreSQL for tests, in a temporary home."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.home import Home, ensure_home
from infra.migrate import migrate
from infra.ports import Ports
from infra.postgres import EmbeddedPostgres, open_embedded, stop_server
from infra.roles import DatabaseAccess, ensure_database


@dataclass(frozen=True)
class PostgresForTests:
    """A running, migrated PostgreSQL."""

    server: EmbeddedPostgres
    access: DatabaseAccess
    home: Home

    def url(self, role: str) -> str:
        """Return the URL of `owner`, `gateway`, `compiler` or `scheduler`."""
        return self.access.url(role)


@contextmanager
def temporary_home() -> Iterator[Home]:
    """Yield a home in a short temporary folder that another user may pass through."""
    folder = Path(tempfile.mkdtemp(prefix="fw-"))
    home = Home(folder)
    try:
        ensure_home(home)
        yield home
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def temporary_postgres() -> Iterator[PostgresForTests]:
    """Yield an embedded PostgreSQL, migrated to the newest revision, stopped at the end."""
    with temporary_home() as home:
        server = open_embedded(
            home, Ports(home.run / "ports.json").choose("postgres"), durable=False
        )
        with (home.log / "postgres.log").open("wb") as log:
            process = server.start(log)
        try:
            server.wait_until_ready(process)
            access = ensure_database(server.admin_url(), home)
            migrate(access.owner)
            yield PostgresForTests(server, access, home)
        finally:
            stop_server(server.data)
            process.wait()
