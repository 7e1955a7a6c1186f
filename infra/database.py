"""The mesh's database, whether it is ours or the operator's."""

from collections.abc import Mapping
from dataclasses import dataclass

from infra.home import Home, ensure_secret
from infra.migrate import migrate
from infra.ports import LOOPBACK
from infra.roles import (
    DATABASE,
    DatabaseAccess,
    ensure_database,
    ensure_service_roles,
    password_path,
    role_of,
)
from infra.urls import Url, parse_url

URL_VARIABLE = "DATABASE_URL"
DIRECT_URL_VARIABLE = "DATABASE_DIRECT_URL"


@dataclass(frozen=True)
class ExternalDatabase:
    """A database that DATABASE_URL names: somebody else starts and stops it."""

    url: Url
    """Where services connect; may be a pooler."""
    direct: Url
    """Where migrations run."""


def find_external(environment: Mapping[str, str]) -> ExternalDatabase | None:
    """Return the database that the environment names, if it names one.

    Raises:
        SetupError: A malformed URL.
    """
    text = environment.get(URL_VARIABLE)
    if not text:
        return None
    url = parse_url(text, URL_VARIABLE)
    direct = environment.get(DIRECT_URL_VARIABLE)
    return ExternalDatabase(url, parse_url(direct, DIRECT_URL_VARIABLE) if direct else url)


def set_up_external(external: ExternalDatabase, home: Home) -> DatabaseAccess:
    """Return access to the operator's database, with our roles and newest schema in it."""
    access = ensure_service_roles(external.direct, home, through=external.url)
    migrate(external.direct)
    return access


def set_up_embedded(admin: Url, home: Home) -> DatabaseAccess:
    """Return access to our own database, with our roles and newest schema in it."""
    access = ensure_database(admin, home)
    migrate(access.owner)
    return access


def service_environment(
    access: DatabaseAccess, service: str, external: ExternalDatabase | None
) -> dict[str, str]:
    """Return the variables that let one service into the database, as itself."""
    url = access.services[service]
    direct = external.direct.as_user(url.user, url.password) if external else url
    return {URL_VARIABLE: str(url), DIRECT_URL_VARIABLE: str(direct)}


def service_url(
    home: Home, service: str, external: ExternalDatabase | None, embedded_port: int
) -> Url:
    """Return a service's URL of a database that has been set up."""
    role = role_of(service)
    password = ensure_secret(password_path(home, role))
    if external is not None:
        return external.direct.as_user(role, password)
    return Url(role, password, LOOPBACK, embedded_port, DATABASE)
