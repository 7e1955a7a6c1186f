"""One schema for each service that has tables, and its role's way into it."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SERVICES = ("gateway", "compiler", "scheduler")


def upgrade() -> None:
    """Create the schemas; each later revision grants its service what its tables need."""
    # PostgreSQL lets everybody call a new function; here a revision names who may.
    op.execute("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
    for service in _SERVICES:
        op.execute(f"CREATE SCHEMA {service}")
        op.execute(f"GRANT USAGE ON SCHEMA {service} TO formwork_{service}")


def downgrade() -> None:
    """Drop the schemas; fails while one holds a table."""
    for service in reversed(_SERVICES):
        op.execute(f"DROP SCHEMA {service}")
    op.execute("ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC")
