"""Organisations, projects, keys, and the append-only audit log, of the gateway."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE gateway.organizations (
    id text PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name <> ''),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE gateway.projects (
    id text PRIMARY KEY,
    organization_id text NOT NULL REFERENCES gateway.organizations (id),
    name text NOT NULL CHECK (name <> ''),
    dialect text NOT NULL DEFAULT 'strict' CHECK (dialect IN ('strict', 'extended')),
    created_at timestamptz NOT NULL DEFAULT now(),
    archived_at timestamptz,
    UNIQUE (organization_id, name)
);

-- A key is its hash; the key itself is nowhere.
CREATE TABLE gateway.keys (
    id text PRIMARY KEY,
    project_id text NOT NULL REFERENCES gateway.projects (id),
    name text NOT NULL,
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    redacted_value text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX keys_of_project ON gateway.keys (project_id);

-- The end of each organisation's chain; locked while an event is appended.
CREATE TABLE gateway.audit_heads (
    organization_id text PRIMARY KEY REFERENCES gateway.organizations (id),
    sequence bigint NOT NULL,
    hash bytea NOT NULL
);

CREATE TABLE gateway.audit_events (
    organization_id text NOT NULL REFERENCES gateway.organizations (id),
    sequence bigint NOT NULL,
    id text NOT NULL UNIQUE,
    type text NOT NULL,
    effective_at timestamptz NOT NULL,
    project_id text,
    actor jsonb NOT NULL,
    payload jsonb NOT NULL,
    -- What is hashed, as text, so that checking needs no second way of writing JSON.
    canonical text NOT NULL,
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (organization_id, sequence)
);
CREATE INDEX audit_events_by_time ON gateway.audit_events (organization_id, effective_at, id);
"""

_FUNCTIONS = """
-- Appends one event to an organisation's chain: hash = sha256(previous hash || canonical text).
CREATE FUNCTION gateway.record_audit_event(
    p_organization_id text, p_id text, p_type text, p_project_id text, p_actor jsonb,
    p_payload jsonb
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_head gateway.audit_heads%ROWTYPE;
    v_at timestamptz := clock_timestamp();
    v_sequence bigint;
    v_canonical text;
    v_hash bytea;
BEGIN
    INSERT INTO gateway.audit_heads (organization_id, sequence, hash)
    VALUES (p_organization_id, 0, sha256(convert_to(p_organization_id, 'UTF8')))
    ON CONFLICT DO NOTHING;
    SELECT * INTO STRICT v_head FROM gateway.audit_heads
    WHERE organization_id = p_organization_id FOR UPDATE;
    v_sequence := v_head.sequence + 1;
    v_canonical := jsonb_build_object(
        'organization_id', p_organization_id, 'sequence', v_sequence, 'id', p_id, 'type', p_type,
        'effective_at', to_char(v_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'project_id', p_project_id, 'actor', p_actor, 'payload', p_payload
    )::text;
    v_hash := sha256(v_head.hash || convert_to(v_canonical, 'UTF8'));
    INSERT INTO gateway.audit_events
    VALUES (p_organization_id, v_sequence, p_id, p_type, v_at, p_project_id, p_actor, p_payload,
            v_canonical, v_head.hash, v_hash);
    UPDATE gateway.audit_heads SET sequence = v_sequence, hash = v_hash
    WHERE organization_id = p_organization_id;
    RETURN v_sequence;
END
$$;

-- Returns the sequence of the first event that does not fit the chain; NULL where all do.
CREATE FUNCTION gateway.find_audit_break(p_organization_id text) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH chain AS (
        SELECT *,
            row_number() OVER (ORDER BY sequence) AS place,
            coalesce(lag(hash) OVER (ORDER BY sequence),
                     sha256(convert_to(p_organization_id, 'UTF8'))) AS expected_previous
        FROM gateway.audit_events WHERE organization_id = p_organization_id
    ), breaks AS (
        SELECT place AS sequence FROM chain
        WHERE sequence <> place
           OR previous_hash <> expected_previous
           OR hash <> sha256(previous_hash || convert_to(canonical, 'UTF8'))
           OR canonical::jsonb <> jsonb_build_object(
                'organization_id', organization_id, 'sequence', sequence, 'id', id, 'type', type,
                'effective_at',
                to_char(effective_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                'project_id', project_id, 'actor', actor, 'payload', payload)
        UNION ALL
        -- Events cut off the end.
        SELECT coalesce((SELECT max(sequence) FROM chain), 0) + 1
        FROM gateway.audit_heads h WHERE h.organization_id = p_organization_id
         AND h.hash IS DISTINCT FROM coalesce(
            (SELECT hash FROM chain ORDER BY sequence DESC LIMIT 1),
            sha256(convert_to(p_organization_id, 'UTF8')))
    )
    SELECT min(sequence) FROM breaks
$$;

CREATE FUNCTION gateway.refuse_audit_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER audit_events_stay BEFORE UPDATE OR DELETE ON gateway.audit_events
FOR EACH ROW EXECUTE FUNCTION gateway.refuse_audit_change();
CREATE TRIGGER audit_events_stay_whole BEFORE TRUNCATE ON gateway.audit_events
FOR EACH STATEMENT EXECUTE FUNCTION gateway.refuse_audit_change();

CREATE FUNCTION gateway.refuse_key_revival() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a revoked key stays revoked' USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER keys_stay_revoked BEFORE UPDATE OF revoked_at ON gateway.keys
FOR EACH ROW WHEN (OLD.revoked_at IS NOT NULL OR NEW.revoked_at IS NULL)
EXECUTE FUNCTION gateway.refuse_key_revival();
"""

_GRANTS = """
GRANT SELECT, INSERT ON gateway.organizations, gateway.projects, gateway.keys TO formwork_gateway;
GRANT UPDATE (revoked_at) ON gateway.keys TO formwork_gateway;
GRANT SELECT ON gateway.audit_events TO formwork_gateway;
REVOKE ALL ON FUNCTION gateway.record_audit_event(text, text, text, text, jsonb, jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.find_audit_break(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gateway.record_audit_event(text, text, text, text, jsonb, jsonb)
TO formwork_gateway;
GRANT EXECUTE ON FUNCTION gateway.find_audit_break(text) TO formwork_gateway;
"""


def upgrade() -> None:
    """Create the tables, the one way into the audit log, and what the gateway may do."""
    for script in (_TABLES, _FUNCTIONS, _GRANTS):
        op.execute(script)


def downgrade() -> None:
    """Drop everything that `upgrade` made."""
    op.execute(
        "DROP TABLE gateway.audit_events, gateway.audit_heads, gateway.keys, gateway.projects, "
        "gateway.organizations"
    )
    op.execute("DROP FUNCTION gateway.record_audit_event(text, text, text, text, jsonb, jsonb)")
    op.execute("DROP FUNCTION gateway.find_audit_break(text)")
    op.execute("DROP FUNCTION gateway.refuse_audit_change()")
    op.execute("DROP FUNCTION gateway.refuse_key_revival()")
