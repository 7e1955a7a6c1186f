import psycopg
import pytest

from infra.testing import PostgresForTests


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
