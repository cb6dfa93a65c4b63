"""The first tables of auth."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = """
CREATE TABLE auth.account (
    user_id       bigint PRIMARY KEY,
    username      text NOT NULL,
    username_key  text NOT NULL UNIQUE,
    password_hash text NOT NULL,
    state         text NOT NULL CHECK (state IN ('pending', 'abandoned', 'active')),
    attempt       integer NOT NULL,
    create_time   timestamptz NOT NULL
);

CREATE INDEX account_unfinished ON auth.account (user_id) WHERE state <> 'active';

CREATE TABLE auth.session (
    session_id        bigint PRIMARY KEY,
    user_id           bigint NOT NULL REFERENCES auth.account,
    device_name       text NOT NULL,
    seed              bytea NOT NULL,
    generation        integer NOT NULL,
    create_time       timestamptz NOT NULL,
    last_refresh_time timestamptz NOT NULL,
    idle_expire_time  timestamptz NOT NULL,
    expire_time       timestamptz NOT NULL,
    end_time          timestamptz,
    end_reason        text CHECK (end_reason IN ('signed_out', 'refresh_token_reused', 'too_many_sessions')),
    CHECK ((end_time IS NULL) = (end_reason IS NULL))
);

CREATE INDEX session_of_user ON auth.session (user_id, session_id DESC) WHERE end_time IS NULL;
CREATE INDEX session_over ON auth.session (COALESCE(end_time, LEAST(idle_expire_time, expire_time)));

CREATE TABLE auth.refresh_token (
    session_id    bigint NOT NULL REFERENCES auth.session ON DELETE CASCADE,
    generation    integer NOT NULL,
    token_hash    bytea NOT NULL UNIQUE,
    replaced_by   integer CHECK (replaced_by = generation + 1),
    replaced_time timestamptz,
    replaced_from text,
    PRIMARY KEY (session_id, generation),
    CHECK ((replaced_by IS NULL) = (replaced_time IS NULL))
);

CREATE UNIQUE INDEX refresh_token_alive ON auth.refresh_token (session_id) WHERE replaced_by IS NULL;

CREATE TABLE auth.signing_key (
    kid            text PRIMARY KEY,
    state          text NOT NULL CHECK (state IN ('next', 'current', 'retired')),
    public_jwk     jsonb NOT NULL,
    sealed_private bytea,
    not_before     timestamptz NOT NULL,
    not_after      timestamptz NOT NULL,
    CHECK ((sealed_private IS NULL) = (state = 'retired'))
);

CREATE UNIQUE INDEX signing_key_in_use ON auth.signing_key (state) WHERE state <> 'retired';

CREATE TABLE auth.audit_event (
    audit_event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind           text NOT NULL,
    create_time    timestamptz NOT NULL,
    user_id        bigint,
    session_id     bigint,
    address        text
);

CREATE INDEX audit_event_of_user ON auth.audit_event (user_id, audit_event_id);

CREATE FUNCTION auth.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is only ever added to';
END
$$;

CREATE TRIGGER audit_event_append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON auth.audit_event
FOR EACH STATEMENT EXECUTE FUNCTION auth.refuse_change();
"""


def upgrade() -> None:
    """Makes accounts, sessions, keys and the audit log."""
    op.execute(STATEMENTS)


def downgrade() -> None:
    """There is no way back."""
    raise NotImplementedError("migrations of auth go forward only")
