"""Schemas that projects have registered, by name and version."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TABLES = """
-- The body of a version never changes; what is found out about it does.
CREATE TABLE gateway.schemas (
    id text PRIMARY KEY,
    project_id text NOT NULL REFERENCES gateway.projects (id),
    name text NOT NULL CHECK (name <> ''),
    version integer NOT NULL CHECK (version > 0),
    description text,
    strict boolean NOT NULL,
    -- As the client wrote it: order and spellings count.
    body text NOT NULL,
    size integer NOT NULL,
    status text NOT NULL CHECK (status IN ('compiling', 'ready', 'failed')),
    error jsonb,
    compile_seconds double precision,
    uses bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (project_id, name, version),
    CHECK ((error IS NOT NULL) = (status = 'failed'))
);
CREATE INDEX schemas_of_project ON gateway.schemas (project_id, id);

-- A number is not given again while a version of the name is left.
CREATE TABLE gateway.schema_names (
    project_id text NOT NULL REFERENCES gateway.projects (id),
    name text NOT NULL,
    last_version integer NOT NULL,
    PRIMARY KEY (project_id, name)
);
"""

_GRANTS = """
GRANT SELECT, INSERT, DELETE ON gateway.schemas, gateway.schema_names TO formwork_gateway;
GRANT UPDATE (status, error, compile_seconds, uses) ON gateway.schemas TO formwork_gateway;
GRANT UPDATE (last_version) ON gateway.schema_names TO formwork_gateway;
"""


def upgrade() -> None:
    """Create the tables; the gateway's role may not change a body."""
    op.execute(_TABLES)
    op.execute(_GRANTS)


def downgrade() -> None:
    """Drop the tables."""
    op.execute("DROP TABLE gateway.schemas, gateway.schema_names")
