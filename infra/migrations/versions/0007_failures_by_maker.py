"""Failures of registered schemas belong to the model and the engine that they are about."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_DROP_COLUMNS = """
ALTER TABLE gateway.schemas
    DROP COLUMN failed_with, DROP COLUMN failed_times, DROP COLUMN retry_at;
"""

_TABLE = """
CREATE TABLE gateway.schema_failures (
    schema_id text NOT NULL REFERENCES gateway.schemas (id) ON DELETE CASCADE,
    -- What an index of it depends on, beside the schema: a tokenizer, the separators of JSON.
    model text NOT NULL,
    engine text NOT NULL,
    -- In a row, with these.
    times integer NOT NULL CHECK (times > 0),
    retry_at timestamptz NOT NULL,
    PRIMARY KEY (schema_id, model, engine)
);
GRANT SELECT, INSERT, DELETE ON gateway.schema_failures TO formwork_gateway;
GRANT UPDATE (times, retry_at) ON gateway.schema_failures TO formwork_gateway;
"""

_COLUMNS = """
ALTER TABLE gateway.schemas
    ADD COLUMN failed_with text,
    ADD COLUMN failed_times integer,
    ADD COLUMN retry_at timestamptz,
    ADD CHECK ((failed_with IS NULL) = (retry_at IS NULL)),
    ADD CHECK ((failed_with IS NULL) = (failed_times IS NULL));
GRANT UPDATE (failed_with, failed_times, retry_at) ON gateway.schemas TO formwork_gateway;
"""


def upgrade() -> None:
    """Give failures a table; what failed before is tried once more."""
    op.execute(_DROP_COLUMNS)
    op.execute(_TABLE)


def downgrade() -> None:
    """Put the columns back, empty."""
    op.execute("DROP TABLE gateway.schema_failures")
    op.execute(_COLUMNS)
