"""Rooms, memberships, pairs, request ids and the outbox."""

from alembic import op

revision = "0001"
down_revision = None

SQL = """
CREATE TABLE chat.room (
    room_id       bigint PRIMARY KEY,
    kind          text NOT NULL CHECK (kind IN ('direct', 'group', 'public')),
    title         text NOT NULL CHECK (char_length(title) <= 200),
    owner_user_id bigint NOT NULL,
    create_time   timestamptz NOT NULL,
    archive_time  timestamptz
);
COMMENT ON COLUMN chat.room.owner_user_id IS 'who made it; 0 in a direct room; roles are in membership';
CREATE INDEX room_public ON chat.room (room_id DESC) WHERE kind = 'public' AND archive_time IS NULL;

CREATE SEQUENCE chat.join_number;
CREATE TABLE chat.membership (
    room_id     bigint NOT NULL REFERENCES chat.room,
    user_id     bigint NOT NULL,
    role        text NOT NULL CHECK (role IN ('owner', 'moderator', 'member')),
    state       text NOT NULL CHECK (state IN ('invited', 'joined', 'left', 'banned')),
    version     bigint NOT NULL,
    join_time   timestamptz,
    join_number bigint NOT NULL,
    PRIMARY KEY (room_id, user_id)
);
COMMENT ON COLUMN chat.membership.version IS 'rises with every change';
COMMENT ON COLUMN chat.membership.join_number IS 'orders who came first; new at every join';
CREATE INDEX membership_joined ON chat.membership (room_id, join_number) INCLUDE (role)
    WHERE state = 'joined';

CREATE TABLE chat.direct_pair (
    user_low  bigint NOT NULL,
    user_high bigint NOT NULL,
    room_id   bigint NOT NULL UNIQUE REFERENCES chat.room DEFERRABLE INITIALLY DEFERRED,
    PRIMARY KEY (user_low, user_high),
    CHECK (user_low < user_high)
);

CREATE TABLE chat.room_request (
    user_id    bigint NOT NULL,
    request_id uuid NOT NULL,
    room_id    bigint NOT NULL REFERENCES chat.room DEFERRABLE INITIALLY DEFERRED,
    body_hash  bytea NOT NULL,
    PRIMARY KEY (user_id, request_id)
);
COMMENT ON TABLE chat.room_request IS 'kept for ever: a repeated request id gives its first result';

CREATE TABLE chat.outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    room_id     bigint NOT NULL,
    request_id  uuid NOT NULL,
    body_hash   bytea NOT NULL,
    event       bytea NOT NULL,
    reply_to    text NOT NULL,
    correlation bigint NOT NULL,
    create_time timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE chat.outbox IS 'events on their way into the room log; per room in the order of id';
CREATE INDEX outbox_room ON chat.outbox (room_id, id);
"""


def upgrade() -> None:
    """Makes the tables."""
    op.execute(SQL)
