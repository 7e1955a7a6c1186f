"""Brings the database to the newest revision: `python -m infra.migrate`.

Reads DATABASE_DIRECT_URL, else DATABASE_URL: the owner's, and not through a pooler.
"""

import os
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from infra.errors import SetupError
from infra.urls import Url, parse_url

_MIGRATIONS = Path(__file__).parent / "migrations"
# Any number that no other advisory lock of this database uses.
_LOCK = 4_151_984_317


def migrate(url: Url) -> None:
    """Bring the database to the newest revision, in one transaction, one caller at a time.

    Raises:
        SetupError: A migration fails; nothing of it stays.
    """
    engine = create_engine(f"postgresql+psycopg{str(url).removeprefix('postgresql')}")
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise SetupError(f"the database's migration failed: {cause}") from error
    finally:
        engine.dispose()


def main() -> int:
    """Migrate; return the exit status."""
    variable = "DATABASE_DIRECT_URL" if os.environ.get("DATABASE_DIRECT_URL") else "DATABASE_URL"
    try:
        migrate(parse_url(os.environ.get(variable, ""), variable))
    except SetupError as error:
        sys.stderr.write(f"formwork: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
