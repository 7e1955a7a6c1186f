"""The compiler's cache: indexes, claims on long compiles, failures about the input."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_INDEXES = """
CREATE TABLE compiler.indexes (
    index_id text NOT NULL CHECK (length(index_id) = 64),
    revision bigint NOT NULL CHECK (revision > 0),
    fingerprint text NOT NULL,
    engine_version text NOT NULL,
    data bytea NOT NULL,
    total_bytes bigint NOT NULL,
    shortest_answer_tokens integer,
    compile_seconds double precision NOT NULL,
    uses bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (index_id, revision)
)"""

_CLAIMS = """
CREATE TABLE compiler.claims (
    index_id text PRIMARY KEY,
    owner text NOT NULL,
    expires_at timestamptz NOT NULL
)"""

_FAILURES = """
CREATE TABLE compiler.failures (
    index_id text PRIMARY KEY,
    status bytea NOT NULL,
    expires_at timestamptz NOT NULL
)"""


def upgrade() -> None:
    """Create the tables; the compiler's role reads and writes rows and nothing more."""
    op.execute(_INDEXES)
    # The bytes do not compress, and a slice of them is read without the rest.
    op.execute("ALTER TABLE compiler.indexes ALTER COLUMN data SET STORAGE EXTERNAL")
    op.execute("CREATE INDEX ON compiler.indexes (last_used_at)")
    op.execute(_CLAIMS)
    op.execute("CREATE INDEX ON compiler.claims (expires_at)")
    op.execute(_FAILURES)
    op.execute("CREATE INDEX ON compiler.failures (expires_at)")
    op.execute(
        "GRANT SELECT, INSERT, DELETE ON compiler.indexes, compiler.claims, compiler.failures "
        "TO formwork_compiler"
    )
    op.execute("GRANT UPDATE (uses, last_used_at) ON compiler.indexes TO formwork_compiler")
    op.execute("GRANT UPDATE ON compiler.claims, compiler.failures TO formwork_compiler")


def downgrade() -> None:
    """Drop the tables: a cache loses nothing that cannot be compiled again."""
    op.execute("DROP TABLE compiler.failures, compiler.claims, compiler.indexes")
