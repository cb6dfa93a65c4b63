"""Outbox rows are kept until the log shows what they did, so that a broker may lose records."""

from alembic import op

revision = "0002"
down_revision = "0001"

SQL = """
ALTER TABLE chat.outbox ADD COLUMN produce_time timestamptz;
COMMENT ON COLUMN chat.outbox.produce_time IS 'when the broker acknowledged the row; null: it waits';
"""


def upgrade() -> None:
    """Adds the column; a process of the version before produces kept rows again, which is one event (I2)."""
    op.execute(SQL)
