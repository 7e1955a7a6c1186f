"""When registered schemas that failed are tried again, and what they failed with."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_COLUMNS = """
ALTER TABLE gateway.schemas
    -- What was tried with when it failed last: a version of the engine and tokenizers.
    ADD COLUMN failed_with text,
    -- In a row, with that.
    ADD COLUMN failed_times integer,
    ADD COLUMN retry_at timestamptz,
    ADD CHECK ((failed_with IS NULL) = (retry_at IS NULL)),
    ADD CHECK ((failed_with IS NULL) = (failed_times IS NULL));
GRANT UPDATE (failed_with, failed_times, retry_at) ON gateway.schemas TO formwork_gateway;
"""


def upgrade() -> None:
    """Add the columns, which the gateway writes."""
    op.execute(_COLUMNS)


def downgrade() -> None:
    """Drop the columns."""
    op.execute(
        "ALTER TABLE gateway.schemas"
        " DROP COLUMN failed_with, DROP COLUMN failed_times, DROP COLUMN retry_at"
    )
