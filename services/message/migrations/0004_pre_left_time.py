"""When each membership ended: who missed both its beginning and its end is told of it."""

from alembic import op

revision = "0004"
down_revision = "0003"

SQL = """
ALTER TABLE message.membership ADD COLUMN left_time timestamptz;
COMMENT ON COLUMN message.membership.left_time IS 'of those that ended since there is this column';
CREATE INDEX membership_ended ON message.membership (user_id, left_time) WHERE left_time IS NOT NULL;
"""


def upgrade() -> None:
    """Adds the column; a process of the version before leaves it empty: nobody is told of what it ends.

    The table is read once, for an index that is empty then, and is not to be had meanwhile.
    """
    op.execute(SQL)
