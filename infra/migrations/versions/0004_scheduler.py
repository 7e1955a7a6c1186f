"""Leases, reports and the usage ledger, partitioned by the day of the lease."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TABLES = ("leases", "reports", "usage")

# Every row of a lease carries the day it was issued, so that "one usage row for each lease" is a
# key although the key of a partitioned table holds its partition's column.
_LEASES = """
CREATE TABLE scheduler.leases (
    lease_id text NOT NULL,
    day date NOT NULL,
    attempt bigint NOT NULL,
    state text NOT NULL CHECK (state IN (
        'granted', 'unplaced', 'opened', 'expired', 'settled', 'swept', 'released')),
    request_id text NOT NULL,
    project_id text NOT NULL,
    key_id text NOT NULL,
    snapshot text NOT NULL,
    service_tier text NOT NULL,
    prompt_tokens bigint NOT NULL,
    max_completion_tokens bigint NOT NULL,
    choices bigint NOT NULL,
    worker_id text,
    worker_address text,
    cached_prompt_tokens bigint NOT NULL,
    completion_tokens bigint NOT NULL,
    issued_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (lease_id, day)
) PARTITION BY RANGE (day)
"""

_LIVE_LEASES = """
CREATE INDEX leases_live ON scheduler.leases (day)
    WHERE state IN ('granted', 'unplaced', 'opened')
"""

_REPORTS = """
CREATE TABLE scheduler.reports (
    lease_id text NOT NULL,
    day date NOT NULL,
    attempt bigint NOT NULL,
    source text NOT NULL CHECK (source IN ('gateway', 'worker')),
    prompt_tokens bigint NOT NULL,
    cached_prompt_tokens bigint NOT NULL,
    completion_tokens bigint NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('completed', 'cancelled', 'failed')),
    served_by text NOT NULL,
    events jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (lease_id, day, attempt, source)
) PARTITION BY RANGE (day)
"""

_USAGE = """
CREATE TABLE scheduler.usage (
    lease_id text NOT NULL,
    day date NOT NULL,
    attempt bigint NOT NULL,
    request_id text NOT NULL,
    project_id text NOT NULL,
    key_id text NOT NULL,
    snapshot text NOT NULL,
    service_tier text NOT NULL,
    prompt_tokens bigint NOT NULL,
    cached_prompt_tokens bigint NOT NULL,
    completion_tokens bigint NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('completed', 'cancelled', 'failed')),
    settled_by text NOT NULL CHECK (settled_by IN ('gateway', 'worker', 'sweeper')),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (lease_id, day)
) PARTITION BY RANGE (day)
"""

# The service's role may not create tables; this lets it have the days to come made, nothing else.
# A day whose rows are in the default partition already stays there. Old partitions are the owner's
# to drop: how long usage is kept is an operator's decision.
_ENSURE_PARTITIONS = """
CREATE FUNCTION scheduler.ensure_partitions(first_day date, days integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' SET lock_timeout = '2s' AS $$
DECLARE
    parent text;
    part text;
    first date;
BEGIN
    IF days NOT BETWEEN 1 AND 31 THEN
        RAISE EXCEPTION 'days must be 1 to 31';
    END IF;
    FOREACH parent IN ARRAY ARRAY['leases', 'reports', 'usage'] LOOP
        FOR ahead IN 0 .. days - 1 LOOP
            first := first_day + ahead;
            part := parent || '_' || to_char(first, 'YYYYMMDD');
            IF pg_catalog.to_regclass('scheduler.' || part) IS NULL THEN
                BEGIN
                    EXECUTE pg_catalog.format(
                        'CREATE TABLE scheduler.%I PARTITION OF scheduler.%I'
                        ' FOR VALUES FROM (%L) TO (%L)', part, parent, first, first + 1);
                EXCEPTION WHEN duplicate_table OR check_violation THEN
                    NULL;
                END;
            END IF;
        END LOOP;
    END LOOP;
END
$$
"""


def upgrade() -> None:
    """Create the tables and grant the scheduler what it needs of each."""
    for statement in (_LEASES, _LIVE_LEASES, _REPORTS, _USAGE, _ENSURE_PARTITIONS):
        op.execute(statement)
    for table in _TABLES:
        op.execute(f"CREATE TABLE scheduler.{table}_default PARTITION OF scheduler.{table} DEFAULT")
    op.execute("GRANT SELECT, INSERT, UPDATE ON scheduler.leases TO formwork_scheduler")
    op.execute("GRANT SELECT, INSERT ON scheduler.reports, scheduler.usage TO formwork_scheduler")
    op.execute("REVOKE EXECUTE ON FUNCTION scheduler.ensure_partitions(date, integer) FROM PUBLIC")
    op.execute(
        "GRANT EXECUTE ON FUNCTION scheduler.ensure_partitions(date, integer) TO formwork_scheduler"
    )


def downgrade() -> None:
    """Drop the tables with what they hold."""
    op.execute("DROP FUNCTION scheduler.ensure_partitions(date, integer)")
    for table in reversed(_TABLES):
        op.execute(f"DROP TABLE scheduler.{table}")
