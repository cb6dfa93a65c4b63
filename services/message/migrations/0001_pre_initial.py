"""The room log, its projections, and the positions of its writers."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE message.log_position (
    partition    int PRIMARY KEY,
    next_offset  bigint NOT NULL CHECK (next_offset >= 0),
    owner_epoch  bigint NOT NULL CHECK (owner_epoch >= 0),
    anchor       bytea NOT NULL DEFAULT ''
) WITH (fillfactor = 50);
COMMENT ON COLUMN message.log_position.next_offset IS 'first record that is not in room_event';
COMMENT ON COLUMN message.log_position.owner_epoch IS 'rises with every owner; others write nothing';
COMMENT ON COLUMN message.log_position.anchor IS 'fingerprint of the last record; empty: not known';

CREATE TABLE message.room_head (
    room_id        bigint PRIMARY KEY,
    head_sequence  bigint NOT NULL CHECK (head_sequence > 0),
    message_count  bigint NOT NULL CHECK (message_count >= 0),
    activity       bigint NOT NULL,
    archived       boolean NOT NULL
) WITH (fillfactor = 70);
COMMENT ON COLUMN message.room_head.activity IS 'milliseconds since 1970 of the last event';

-- No foreign keys and no other unique key than (room_id, sequence), so that it can be split by
-- range or hash and old parts dropped whole.
CREATE TABLE message.room_event (
    room_id         bigint NOT NULL,
    sequence        bigint NOT NULL CHECK (sequence > 0),
    create_time     timestamptz NOT NULL,
    message_number  bigint NOT NULL,
    kind            smallint NOT NULL,
    joined_user_id  bigint,
    left_user_id    bigint,
    payload         bytea NOT NULL,
    PRIMARY KEY (room_id, sequence)
);
COMMENT ON COLUMN message.room_event.message_number IS 'messages of the room up to and including this event';
COMMENT ON COLUMN message.room_event.kind IS 'field number of the payload in polychat.event.v1.RoomEvent';
COMMENT ON COLUMN message.room_event.payload IS 'serialized polychat.event.v1.RoomEvent, complete';

-- Kept for ever, whatever becomes of room_event: a repeat gets the first result.
CREATE TABLE message.request (
    room_id         bigint NOT NULL,
    sender_user_id  bigint NOT NULL,
    request_id      bytea NOT NULL CHECK (octet_length(request_id) = 16),
    body_hash       bytea NOT NULL CHECK (octet_length(body_hash) = 16),
    sequence        bigint NOT NULL,
    message_id      bigint NOT NULL,
    create_time     timestamptz NOT NULL,
    PRIMARY KEY (room_id, sender_user_id, request_id)
);

-- The text is inside the payload: PostgreSQL's text type cannot hold every string a message can.
CREATE TABLE message.message (
    room_id                 bigint NOT NULL,
    message_id              bigint NOT NULL,
    sequence                bigint NOT NULL,
    sender_user_id          bigint NOT NULL,
    thread_root_message_id  bigint NOT NULL,
    payload                 bytea NOT NULL,
    PRIMARY KEY (room_id, message_id)
);
CREATE UNIQUE INDEX message_room_sequence ON message.message (room_id, sequence);
COMMENT ON COLUMN message.message.payload IS 'serialized polychat.chat.v1.Message, complete, as it is now';

CREATE TABLE message.membership (
    room_id          bigint NOT NULL,
    user_id          bigint NOT NULL,
    joined_sequence  bigint NOT NULL,
    left_sequence    bigint CHECK (left_sequence > joined_sequence),
    PRIMARY KEY (room_id, user_id, joined_sequence)
);
CREATE UNIQUE INDEX membership_current ON message.membership (user_id, room_id) WHERE left_sequence IS NULL;
CREATE INDEX membership_of_room ON message.membership (room_id, user_id) WHERE left_sequence IS NULL;

CREATE TABLE message.receipt (
    room_id              bigint NOT NULL,
    user_id              bigint NOT NULL,
    read_sequence        bigint NOT NULL,
    read_message_number  bigint NOT NULL,
    PRIMARY KEY (room_id, user_id)
) WITH (fillfactor = 70);

CREATE TABLE message.dead_letter (
    partition      int NOT NULL,
    record_offset  bigint NOT NULL,
    reason         text NOT NULL,
    key            bytea,
    value          bytea,
    headers        bytea NOT NULL,
    create_time    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (partition, record_offset)
);
COMMENT ON COLUMN message.dead_letter.headers IS 'JSON: [[name, base64 of the value], …]';
"""


def upgrade() -> None:
    """Makes all tables."""
    op.execute(TABLES)
