"""The restores of backups that this log has behind it, and where each room's log stood at them."""

from alembic import op

revision = "0002"
down_revision = "0001"

TABLES = """
CREATE TABLE message.log_epoch (
    epoch  bigint PRIMARY KEY CHECK (epoch > 0)
);
COMMENT ON TABLE message.log_epoch IS 'one row a restore; the highest is the epoch of the log now, none is 0';
COMMENT ON COLUMN message.log_epoch.epoch IS 'milliseconds since 1970 of the restore, so no two are the same';

CREATE TABLE message.room_epoch (
    room_id        bigint NOT NULL,
    epoch          bigint NOT NULL REFERENCES message.log_epoch,
    head_sequence  bigint NOT NULL CHECK (head_sequence >= 0),
    PRIMARY KEY (room_id, epoch)
);
COMMENT ON TABLE message.room_epoch IS 'a cursor past head_sequence that is older than the epoch is void';
"""


def upgrade() -> None:
    """Makes both tables, empty: a log that was never restored has epoch 0."""
    op.execute(TABLES)
