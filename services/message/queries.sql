-- Writing the log ---------------------------------------------------------------------------

-- name: claim
-- A new epoch for each partition; whoever wrote with an older one fails its fence from now on.
INSERT INTO log_position AS p (partition, next_offset, owner_epoch)
SELECT partition, 0, 1 FROM unnest($1::int[]) AS partition ORDER BY partition
ON CONFLICT (partition) DO UPDATE SET owner_epoch = p.owner_epoch + 1
RETURNING partition, owner_epoch, next_offset, anchor, commit_time

-- name: restart
-- Another place to go on from, in a log that does not hold the old one any more.
UPDATE log_position SET next_offset = $4, anchor = ''
WHERE partition = $1 AND next_offset = $2 AND owner_epoch = $3
RETURNING partition

-- name: positions
SELECT partition, owner_epoch, next_offset, anchor, commit_time FROM log_position WHERE partition = ANY($1::int[])

-- name: load
-- Heads of rooms, and the current memberships among (room, user) pairs, told apart by user_id.
SELECT room_id, NULL::bigint AS user_id, head_sequence, message_count, activity, archived
FROM room_head WHERE room_id = ANY($1::bigint[])
UNION ALL
SELECT m.room_id, m.user_id, m.joined_sequence, 0, 0, false
FROM unnest($2::bigint[], $3::bigint[]) AS asked (room_id, user_id)
JOIN membership m ON m.user_id = asked.user_id AND m.room_id = asked.room_id AND m.left_sequence IS NULL

-- name: known
SELECT r.room_id, r.sender_user_id, r.request_id, r.body_hash, r.sequence, r.message_id, r.create_time
FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]) AS asked (room_id, sender_user_id, request_id)
JOIN request r USING (room_id, sender_user_id, request_id)

-- name: commit
-- All of a plan that most plans have. Everything hangs on `held`: true only when every partition is
-- locked here at the offset and epoch that the plans were made for.
WITH fence AS MATERIALIZED (
    SELECT p.partition
    FROM log_position p
    JOIN unnest($1::int[], $2::bigint[], $3::bigint[]) AS mine (partition, next_offset, owner_epoch)
        USING (partition, next_offset, owner_epoch)
    ORDER BY p.partition
    FOR UPDATE OF p
), held AS MATERIALIZED (
    SELECT count(*) = cardinality($1::int[]) AS ok FROM fence
), moved AS (
    UPDATE log_position p SET next_offset = n.next_offset, anchor = n.anchor, commit_time = clock_timestamp()
    FROM unnest($1::int[], $4::bigint[], $5::bytea[]) AS n (partition, next_offset, anchor)
    WHERE p.partition = n.partition AND (SELECT ok FROM held)
), requests AS (
    INSERT INTO request (room_id, sender_user_id, request_id, body_hash, sequence, message_id, create_time)
    SELECT * FROM unnest($6::bigint[], $7::bigint[], $8::bytea[], $9::bytea[], $10::bigint[], $11::bigint[],
                         $12::timestamptz[])
    WHERE (SELECT ok FROM held)
), events AS (
    INSERT INTO room_event
        (room_id, sequence, create_time, message_number, kind, joined_user_id, left_user_id, payload)
    SELECT * FROM unnest($6::bigint[], $10::bigint[], $12::timestamptz[], $13::bigint[], $14::smallint[],
                         $15::bigint[], $16::bigint[], $17::bytea[])
    WHERE (SELECT ok FROM held)
), messages AS (
    INSERT INTO message (room_id, message_id, sequence, sender_user_id, thread_root_message_id, payload)
    SELECT e.room_id, e.message_id, e.sequence, e.sender_user_id, e.thread_root_message_id, e.payload
    FROM unnest($6::bigint[], $11::bigint[], $10::bigint[], $7::bigint[], $18::bigint[], $19::bytea[])
        AS e (room_id, message_id, sequence, sender_user_id, thread_root_message_id, payload)
    WHERE e.payload IS NOT NULL AND (SELECT ok FROM held)
), heads AS (
    INSERT INTO room_head (room_id, head_sequence, message_count, activity, archived)
    SELECT * FROM unnest($20::bigint[], $21::bigint[], $22::bigint[], $23::bigint[], $24::boolean[])
    WHERE (SELECT ok FROM held)
    ON CONFLICT (room_id) DO UPDATE SET
        head_sequence = EXCLUDED.head_sequence, message_count = EXCLUDED.message_count,
        activity = EXCLUDED.activity, archived = EXCLUDED.archived
), receipts AS (
    INSERT INTO receipt AS r (room_id, user_id, read_sequence, read_message_number)
    SELECT * FROM unnest($25::bigint[], $26::bigint[], $27::bigint[], $28::bigint[])
    WHERE (SELECT ok FROM held)
    ON CONFLICT (room_id, user_id) DO UPDATE SET
        read_sequence = EXCLUDED.read_sequence, read_message_number = EXCLUDED.read_message_number
    WHERE EXCLUDED.read_sequence > r.read_sequence
)
SELECT partition FROM fence

-- name: commit_rest
-- What few plans have, in the same transaction and only when every fence held: in `commit` its empty
-- parts would cost every message (docs/performance.md).
WITH memberships AS (
    INSERT INTO membership (room_id, user_id, joined_sequence, left_sequence, left_time)
    SELECT *, CASE WHEN left_sequence IS NOT NULL THEN clock_timestamp() END
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
        AS m (room_id, user_id, joined_sequence, left_sequence)
    ON CONFLICT (room_id, user_id, joined_sequence) DO UPDATE SET
        left_sequence = EXCLUDED.left_sequence, left_time = EXCLUDED.left_time
), dead_letters AS (
    INSERT INTO dead_letter (partition, record_offset, reason, key, value, headers)
    SELECT * FROM unnest($5::int[], $6::bigint[], $7::text[], $8::bytea[], $9::bytea[], $10::bytea[])
    -- Taken only by a letter of a log that is lost; its copy is in the topic.
    ON CONFLICT (partition, record_offset) DO UPDATE SET
        reason = EXCLUDED.reason, key = EXCLUDED.key, value = EXCLUDED.value, headers = EXCLUDED.headers,
        create_time = now()
)
INSERT INTO request (room_id, sender_user_id, request_id, body_hash, sequence, message_id, create_time)
SELECT * FROM unnest($11::bigint[], $12::bigint[], $13::bytea[], $14::bytea[], $15::bigint[], $16::bigint[],
                     $17::timestamptz[])

-- Reading the log ---------------------------------------------------------------------------

-- name: sight
SELECT m.joined_sequence, m.left_sequence, h.head_sequence
FROM membership m JOIN room_head h USING (room_id)
WHERE m.room_id = $1 AND m.user_id = $2 ORDER BY m.joined_sequence

-- name: events_after
SELECT e.* FROM unnest($2::bigint[], $3::bigint[]) AS span (low, high)
CROSS JOIN LATERAL (
    SELECT sequence, payload FROM room_event
    WHERE room_id = $1 AND sequence > $4 AND sequence BETWEEN span.low AND span.high
    ORDER BY sequence LIMIT $5
) e
ORDER BY e.sequence LIMIT $5

-- name: events_before
SELECT e.* FROM unnest($2::bigint[], $3::bigint[]) AS span (low, high)
CROSS JOIN LATERAL (
    SELECT sequence, payload FROM room_event
    WHERE room_id = $1 AND sequence < $4 AND sequence BETWEEN span.low AND span.high
    ORDER BY sequence DESC LIMIT $5
) e
ORDER BY e.sequence DESC LIMIT $5

-- name: messages_after
SELECT e.* FROM unnest($2::bigint[], $3::bigint[]) AS span (low, high)
CROSS JOIN LATERAL (
    SELECT sequence, payload FROM message
    WHERE room_id = $1 AND sequence > $4 AND sequence BETWEEN span.low AND span.high
    ORDER BY sequence LIMIT $5
) e
ORDER BY e.sequence LIMIT $5

-- name: messages_before
SELECT e.* FROM unnest($2::bigint[], $3::bigint[]) AS span (low, high)
CROSS JOIN LATERAL (
    SELECT sequence, payload FROM message
    WHERE room_id = $1 AND sequence < $4 AND sequence BETWEEN span.low AND span.high
    ORDER BY sequence DESC LIMIT $5
) e
ORDER BY e.sequence DESC LIMIT $5

-- name: message
SELECT sequence, payload FROM message WHERE room_id = $1 AND message_id = $2

-- name: stretches
-- All ranges in one snapshot. A range stops before the event that would take it past $5 bytes,
-- but never before its first. One row per event; a range without events has one row all the same.
SELECT asked.n, h.head_sequence, v.lows, v.highs,
       e.sequence, e.payload, e.joined_user_id, e.left_user_id, e.found
FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::bigint[])
    WITH ORDINALITY AS asked (room_id, after_sequence, max_events, user_id, n)
LEFT JOIN room_head h ON h.room_id = asked.room_id
CROSS JOIN LATERAL (
    SELECT array_agg(joined_sequence ORDER BY joined_sequence) AS lows,
           array_agg(coalesce(left_sequence, 9223372036854775807) ORDER BY joined_sequence) AS highs
    FROM (
        SELECT 1 AS joined_sequence, NULL::bigint AS left_sequence WHERE asked.user_id = 0
        UNION ALL
        SELECT m.joined_sequence, m.left_sequence FROM membership m
        WHERE asked.user_id <> 0 AND m.room_id = asked.room_id AND m.user_id = asked.user_id
    ) span
) v
LEFT JOIN LATERAL (
    SELECT x.*, count(*) OVER () AS found,
           sum(octet_length(x.payload)) OVER (ORDER BY x.sequence) - octet_length(x.payload) AS bytes_before
    FROM (
        SELECT found.* FROM unnest(v.lows, v.highs) AS span (low, high)
        CROSS JOIN LATERAL (
            SELECT sequence, payload, joined_user_id, left_user_id FROM room_event
            WHERE room_id = asked.room_id AND sequence > asked.after_sequence
              AND sequence BETWEEN span.low AND span.high
            ORDER BY sequence LIMIT asked.max_events
        ) found
        ORDER BY found.sequence LIMIT asked.max_events
    ) x
) e ON e.bytes_before = 0 OR e.bytes_before + octet_length(e.payload) <= $5::bigint
ORDER BY asked.n, e.sequence

-- name: user_rooms
SELECT u.user_id, r.*, l.payload AS last_message,
       ARRAY(SELECT e.epoch FROM room_epoch e WHERE e.room_id = r.room_id ORDER BY e.epoch) AS epochs,
       ARRAY(SELECT e.head_sequence FROM room_epoch e WHERE e.room_id = r.room_id ORDER BY e.epoch) AS epoch_heads
FROM unnest($1::bigint[]) WITH ORDINALITY AS u (user_id, n)
CROSS JOIN LATERAL (
    SELECT m.room_id, h.head_sequence, c.read_sequence, h.message_count - c.read_message_number AS unread_count,
           m.joined_sequence, h.activity
    FROM membership m
    JOIN room_head h ON h.room_id = m.room_id
    JOIN receipt c ON c.room_id = m.room_id AND c.user_id = m.user_id
    WHERE m.user_id = u.user_id AND m.left_sequence IS NULL
      AND ($3::bigint = 0 OR (h.activity, m.room_id) < ($3, $4::bigint))
      AND ($6::bigint[] IS NULL OR m.room_id = ANY($6))
    ORDER BY h.activity DESC, m.room_id DESC
    LIMIT $2
) r
LEFT JOIN LATERAL (
    SELECT x.payload
    FROM membership v
    CROSS JOIN LATERAL (
        SELECT sequence, payload FROM message
        WHERE room_id = r.room_id
          AND sequence BETWEEN v.joined_sequence AND coalesce(v.left_sequence, 9223372036854775807)
        ORDER BY sequence DESC LIMIT 1
    ) x
    WHERE $5::boolean AND v.room_id = r.room_id AND v.user_id = u.user_id
    ORDER BY x.sequence DESC LIMIT 1
) l ON true
ORDER BY u.n, r.activity DESC, r.room_id DESC
LIMIT $7::bigint

-- name: ended
SELECT u.user_id, e.room_id, e.joined_sequence, e.left_sequence
FROM unnest($1::bigint[]) AS u (user_id)
CROSS JOIN LATERAL (
    SELECT room_id, joined_sequence, left_sequence, left_time FROM membership
    WHERE user_id = u.user_id AND left_time > clock_timestamp() - interval '1 day'
    ORDER BY left_time DESC, left_sequence DESC LIMIT $2
) e
-- Not by left_time, which a clock that was set may have put in another order.
ORDER BY e.left_sequence

-- name: log_epochs
SELECT epoch FROM log_epoch ORDER BY epoch

-- name: heads
SELECT room_id, head_sequence FROM room_head WHERE room_id = ANY($1::bigint[])

-- Receipts ----------------------------------------------------------------------------------

-- name: standing
SELECT c.read_sequence, h.head_sequence
FROM membership m
JOIN room_head h ON h.room_id = m.room_id
JOIN receipt c ON c.room_id = m.room_id AND c.user_id = m.user_id
WHERE m.room_id = $1 AND m.user_id = $2 AND m.left_sequence IS NULL

-- name: advance
UPDATE receipt c SET read_sequence = e.sequence, read_message_number = e.message_number
FROM room_event e
WHERE e.room_id = $1 AND e.sequence = $3
  AND c.room_id = $1 AND c.user_id = $2 AND c.read_sequence < $3
  AND EXISTS (SELECT FROM membership m
              WHERE m.room_id = $1 AND m.user_id = $2 AND m.left_sequence IS NULL)
RETURNING c.read_sequence

-- name: receipts
SELECT m.user_id, c.read_sequence
FROM membership m
JOIN receipt c ON c.room_id = m.room_id AND c.user_id = m.user_id
WHERE m.room_id = $1 AND m.left_sequence IS NULL AND m.user_id > $2
ORDER BY m.user_id LIMIT $3
