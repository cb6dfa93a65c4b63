"""When each partition was last written: where to go on in a log that has lost its records."""

from alembic import op

revision = "0003"
down_revision = "0002"

SQL = """
ALTER TABLE message.log_position ADD COLUMN commit_time timestamptz NOT NULL DEFAULT clock_timestamp();
COMMENT ON COLUMN message.log_position.commit_time IS 'of the last batch; what is made later follows it';
"""


def upgrade() -> None:
    """Adds the column; a process of the version before leaves it as it is, which only makes it older."""
    op.execute(SQL)
