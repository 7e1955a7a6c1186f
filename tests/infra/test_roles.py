import psycopg
import pytest

from infra.database import find_external, set_up_external
from infra.errors import SetupError
from infra.home import ensure_secret
from infra.migrate import migrate
from infra.roles import password_path
from infra.testing import PostgresForTests, temporary_home


@pytest.fixture
def foreign_url(postgres: PostgresForTests) -> str:
    """A database of somebody else, whose owner may create roles."""
    with psycopg.connect(str(postgres.server.admin_url()), autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS theirs")
        admin.execute("DROP ROLE IF EXISTS operator")
        admin.execute("CREATE ROLE operator LOGIN CREATEROLE PASSWORD 'operators'")
        admin.execute("CREATE DATABASE theirs OWNER operator")
    url = postgres.server.admin_url("theirs").as_user("operator", "operators")
    return str(url)


def test_migrating_twice_changes_nothing(postgres: PostgresForTests) -> None:
    query = "SELECT version_num FROM alembic_version"
    with psycopg.connect(postgres.url("owner")) as connection:
        before = connection.execute(query).fetchall()
        migrate(postgres.access.owner)
        assert connection.execute(query).fetchall() == before
    assert len(before) == 1


def test_the_operators_database_gets_our_schemas(
    postgres: PostgresForTests, foreign_url: str
) -> None:
    external = find_external({"DATABASE_URL": foreign_url})
    assert external is not None
    access = set_up_external(external, postgres.home)
    with psycopg.connect(access.url("gateway")) as connection:
        row = connection.execute("SELECT current_database(), count(*) FROM gateway.keys").fetchone()
    assert row == ("theirs", 0)


def test_a_role_with_another_password_than_ours_is_named(
    postgres: PostgresForTests, foreign_url: str
) -> None:
    external = find_external({"DATABASE_URL": foreign_url})
    assert external is not None
    with temporary_home() as other:
        path = password_path(other, "formwork_gateway")
        ensure_secret(path)
        with pytest.raises(SetupError, match="formwork_gateway has another password than"):
            set_up_external(external, other)


def test_a_database_that_does_not_answer_is_one_line(postgres: PostgresForTests) -> None:
    url = str(postgres.access.owner.as_user("nobody_we_know", "x"))
    external = find_external({"DATABASE_URL": url})
    assert external is not None
    with pytest.raises(SetupError, match="cannot log into PostgreSQL at") as caught:
        set_up_external(external, postgres.home)
    assert "\n" not in str(caught.value)
