"""PostgreSQL sessions that also work through pgbouncer in transaction mode."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from mesh.config import ConfigError
from mesh.errors import DatabaseBusyError, DatabaseUnavailableError

URL_VARIABLE = "DATABASE_URL"
_RETRY_SECONDS = 1.0


def database_url(environment: Mapping[str, str] | None = None) -> str:
    """Return DATABASE_URL in SQLAlchemy's psycopg form.

    Raises:
        ConfigError: Unset, or not a PostgreSQL URL.
    """
    environment = os.environ if environment is None else environment
    url = environment.get(URL_VARIABLE, "")
    for scheme in ("postgresql+psycopg://", "postgresql://", "postgres://"):
        if url.startswith(scheme):
            return "postgresql+psycopg://" + url.removeprefix(scheme)
    raise ConfigError(f"{URL_VARIABLE} must be a postgresql:// URL")


class Database:
    """A pool of connections to PostgreSQL.

    Args:
        url: SQLAlchemy URL with the psycopg driver.
        pool_size: Most connections.
        pool_seconds: How long one is waited for.
        statement_timeout_seconds: After which the server ends a statement.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 8,
        pool_seconds: float = 2.0,
        statement_timeout_seconds: float = 5.0,
    ) -> None:
        self._pool_size = pool_size
        self._statement_timeout = f"{int(statement_timeout_seconds * 1000)}ms"
        self.engine: AsyncEngine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_seconds,
            pool_pre_ping=True,
            # None: no server-side prepared statements, which transaction pooling would lose.
            connect_args={"prepare_threshold": None, "connect_timeout": 2},
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection in one transaction: committed at the end, rolled back on an error.

        Raises:
            DatabaseUnavailableError: PostgreSQL does not answer.
            DatabaseBusyError: Every connection was in use for too long.
        """
        try:
            async with self.engine.begin() as connection:
                await connection.execute(
                    text("SELECT set_config('statement_timeout', :timeout, true)"),
                    {"timeout": self._statement_timeout},
                )
                yield connection
        except PoolTimeoutError as error:
            raise self._busy() from error
        except (OperationalError, InterfaceError) as error:
            raise DatabaseUnavailableError("The database does not answer.") from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise DatabaseUnavailableError("The database does not answer.") from error
            raise

    def _busy(self) -> DatabaseBusyError:
        return DatabaseBusyError(
            f"All {self._pool_size} connections to the database are in use.",
            metadata={"limit": "pool_size", "maximum": str(self._pool_size)},
            retry_after_seconds=_RETRY_SECONDS,
        )

    async def ping(self) -> None:
        """Return when a trivial statement has been answered; raises as `transaction` does."""
        async with self.transaction() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()
