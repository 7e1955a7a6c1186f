"""Database URLs, taken apart and put together."""

from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote, urlsplit

from infra.errors import SetupError

_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
_DEFAULT_PORT = 5432


@dataclass(frozen=True)
class Url:
    """A PostgreSQL URL; `str` gives it in libpq's form, password included."""

    user: str
    password: str = field(repr=False)
    host: str
    port: int
    database: str
    query: str = ""

    def __str__(self) -> str:
        user, password = quote(self.user, safe=""), quote(self.password, safe="")
        host = f"[{self.host}]" if ":" in self.host else self.host
        query = f"?{self.query}" if self.query else ""
        database = quote(self.database, safe="")
        return f"postgresql://{user}:{password}@{host}:{self.port}/{database}{query}"

    def as_user(self, user: str, password: str) -> "Url":
        """Return the same database's URL for another user."""
        return replace(self, user=user, password=password)


def parse_url(text: str, variable: str) -> Url:
    """Return a URL from the environment.

    Args:
        text: The URL.
        variable: Where it came from, for the message.

    Raises:
        SetupError: Not a PostgreSQL URL with a host, a user and a database.
    """
    try:
        parts = urlsplit(text)
        port = parts.port or _DEFAULT_PORT
    except ValueError:
        parts, port = urlsplit(""), 0
    database = unquote(parts.path.lstrip("/"))
    if parts.scheme not in _SCHEMES or not parts.hostname or not parts.username or not database:
        raise SetupError(f"{variable} must look like postgresql://user:password@host:port/database")
    password = unquote(parts.password or "")
    return Url(unquote(parts.username), password, parts.hostname, port, database, parts.query)
