"""Who may log into the database: an owner who migrates, and one role for each service."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from infra.errors import SetupError
from infra.home import Home, ensure_secret
from infra.urls import Url

DATABASE = "formwork"
OWNER = "formwork_owner"
SERVICES = ("gateway", "compiler", "scheduler")


def role_of(service: str) -> str:
    """Return the database role of a service."""
    return f"formwork_{service}"


@dataclass(frozen=True)
class DatabaseAccess:
    """URLs of one database: the owner's, and each service's own."""

    owner: Url
    services: Mapping[str, Url]

    def url(self, role: str) -> str:
        """Return the URL of `owner` or of a service."""
        return str(self.owner if role == "owner" else self.services[role])


def ensure_database(admin: Url, home: Home) -> DatabaseAccess:
    """Return access to the database `formwork`, created with its roles where it is missing.

    Args:
        admin: A superuser of our own PostgreSQL.
        home: Keeps the generated passwords.

    Raises:
        SetupError: PostgreSQL refuses.
    """
    passwords = {role: _password(home, role) for role in (OWNER, *map(role_of, SERVICES))}
    with _connect(admin) as connection:
        for role, password in passwords.items():
            _ensure_role(connection, role, password)
        _ensure_database(connection)
    owner = Url(OWNER, passwords[OWNER], admin.host, admin.port, DATABASE)
    return DatabaseAccess(
        owner,
        {
            service: owner.as_user(role_of(service), passwords[role_of(service)])
            for service in SERVICES
        },
    )


def ensure_service_roles(owner: Url, home: Home, *, through: Url | None = None) -> DatabaseAccess:
    """Return access to somebody else's database, with the services' roles made where missing.

    A role that exists keeps its password, which then has to be in the home.

    Args:
        owner: A user that may create roles; connected to directly.
        home: Keeps the generated passwords.
        through: Where the services connect, when that is a pooler.

    Raises:
        SetupError: The database does not answer, or the owner may not create roles.
    """
    front = through or owner
    services = {
        service: front.as_user(role_of(service), _password(home, role_of(service)))
        for service in SERVICES
    }
    with _connect(owner) as connection:
        for url in services.values():
            if not _has_role(connection, url.user):
                _ensure_role(connection, url.user, url.password)
            elif not _may_connect(owner.as_user(url.user, url.password)):
                raise SetupError(
                    f"the database's role {url.user} has another password than "
                    f"{password_path(home, url.user)}: put its password there"
                )
    return DatabaseAccess(owner, services)


def password_path(home: Home, role: str) -> Path:
    """Return the file that holds a role's password."""
    return home.secrets / f"{role}.password"


def _password(home: Home, role: str) -> str:
    return ensure_secret(password_path(home, role))


def _connect(url: Url) -> psycopg.Connection[tuple[object, ...]]:
    try:
        return psycopg.connect(str(url), autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[-1]
        raise SetupError(
            f"cannot log into PostgreSQL at {url.host}:{url.port} as {url.user}: {reason}"
        ) from error


def _may_connect(url: Url) -> bool:
    try:
        _connect(url).close()
    except SetupError:
        return False
    return True


def _has_role(connection: psycopg.Connection[tuple[object, ...]], role: str) -> bool:
    query = "SELECT 1 FROM pg_roles WHERE rolname = %s"
    return connection.execute(query, (role,)).fetchone() is not None


def _ensure_role(
    connection: psycopg.Connection[tuple[object, ...]], role: str, password: str
) -> None:
    verb = sql.SQL("ALTER" if _has_role(connection, role) else "CREATE")
    statement = sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
        verb, sql.Identifier(role), sql.Literal(password)
    )
    try:
        connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege as error:
        raise SetupError(
            f"the user of DATABASE_URL may not create the role {role}: "
            "give it CREATEROLE, or create the role yourself"
        ) from error


def _ensure_database(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    query = "SELECT 1 FROM pg_database WHERE datname = %s"
    name = sql.Identifier(DATABASE)
    if connection.execute(query, (DATABASE,)).fetchone() is None:
        create = sql.SQL("CREATE DATABASE {} OWNER {}")
        connection.execute(create.format(name, sql.Identifier(OWNER)))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    for service in SERVICES:
        grant = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
        connection.execute(grant.format(name, sql.Identifier(role_of(service))))
