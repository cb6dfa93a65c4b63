"""The first table of the user service."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = """
CREATE TABLE "user".profile (
    user_id          bigint PRIMARY KEY,
    username         text NOT NULL DEFAULT '',
    username_key     text CONSTRAINT profile_username_taken UNIQUE,
    display_name     text NOT NULL DEFAULT '',
    display_name_key text,
    bio              text NOT NULL DEFAULT '',
    email            text NOT NULL DEFAULT '',
    email_key        text CONSTRAINT profile_email_taken UNIQUE,
    create_time      timestamptz NOT NULL,
    delete_time      timestamptz,
    CHECK ((delete_time IS NULL) = (username_key IS NOT NULL))
);

CREATE INDEX profile_by_username ON "user".profile (username_key text_pattern_ops);
CREATE INDEX profile_by_display_name ON "user".profile (display_name_key text_pattern_ops, username_key);
"""


def upgrade() -> None:
    """Makes the profiles."""
    op.execute(STATEMENTS)


def downgrade() -> None:
    """There is no way back."""
    raise NotImplementedError("migrations of the user service go forward only")
