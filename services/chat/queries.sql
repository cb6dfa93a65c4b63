-- name: insert_room
-- A new room; its id is a Snowflake, so it is in nobody's way.
INSERT INTO room (room_id, kind, title, owner_user_id, create_time) VALUES ($1, $2, $3, $4, $5)

-- name: claim_request
-- Reserves a request id; waits for a transaction that has just done the same. No row: it is taken.
INSERT INTO room_request (user_id, request_id, room_id, body_hash) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
RETURNING room_id

-- name: get_request
-- What a request id made.
SELECT room_id, body_hash FROM room_request WHERE user_id = $1 AND request_id = $2

-- name: claim_pair
-- Reserves the one room of two users; waits for a transaction that has just done the same. No row: taken.
INSERT INTO direct_pair (user_low, user_high, room_id) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING
RETURNING room_id

-- name: get_pair
-- The one room of two users.
SELECT room_id FROM direct_pair WHERE user_low = $1 AND user_high = $2

-- name: get_rooms
-- Rooms with the pair of a direct one.
SELECT room_id, kind, title, owner_user_id, create_time, archive_time, user_low, user_high
FROM room LEFT JOIN direct_pair USING (room_id)
WHERE room_id = ANY ($1::bigint[])

-- name: list_public_rooms
-- A page of the public rooms that live, the newest first.
SELECT room_id, kind, title, owner_user_id, create_time, archive_time, NULL::bigint AS user_low, NULL::bigint AS user_high
FROM room
WHERE kind = 'public' AND archive_time IS NULL AND room_id < $1
ORDER BY room_id DESC
LIMIT $2

-- name: lock_room
-- Every writer takes this first, so that per room the outbox ids rise in the order of the commits.
SELECT room_id FROM room WHERE room_id = $1 FOR UPDATE

-- name: get_memberships
-- Memberships by (room, user), in any state.
SELECT room_id, user_id, role, state, version, join_time, join_number
FROM membership JOIN unnest($1::bigint[], $2::bigint[]) AS asked (room_id, user_id) USING (room_id, user_id)

-- name: count_members
-- Who is in the room, and how many of them are owners.
SELECT count(*) AS members, count(*) FILTER (WHERE role = 'owner') AS owners
FROM membership
WHERE room_id = $1 AND state = 'joined'

-- name: list_memberships
-- A page of who is in the room, in the order they came.
SELECT room_id, user_id, role, state, version, join_time, join_number
FROM membership
WHERE room_id = $1 AND state = 'joined' AND join_number > $2
ORDER BY join_number
LIMIT $3

-- name: put_membership
-- A membership as it is from now on; who comes in gets the next join number.
INSERT INTO membership (room_id, user_id, role, state, version, join_time, join_number)
VALUES ($1, $2, $3, $4, $5, $6, nextval('join_number'))
ON CONFLICT (room_id, user_id) DO UPDATE
SET role = excluded.role,
    state = excluded.state,
    version = excluded.version,
    join_time = excluded.join_time,
    join_number = CASE WHEN excluded.state = 'joined' AND membership.state <> 'joined'
                       THEN excluded.join_number ELSE membership.join_number END

-- name: insert_outbox
-- An event that waits for its way into the log.
INSERT INTO outbox (room_id, request_id, body_hash, event, reply_to, correlation) VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id

-- name: lock_outbox
-- The oldest rows of a room; a relay that drains the same room at the same time waits here.
SELECT id, room_id, request_id, body_hash, event, reply_to, correlation
FROM outbox
WHERE room_id = $1 AND produce_time IS NULL
ORDER BY id
LIMIT $2
FOR UPDATE

-- name: mark_outbox
-- Rows that the log has acknowledged.
UPDATE outbox SET produce_time = clock_timestamp() WHERE id = ANY ($1::bigint[])

-- name: produced_outbox
-- Rows that should show in the log of the message service by now.
SELECT id, room_id, request_id, body_hash, event, reply_to, correlation,
       extract(epoch FROM clock_timestamp() - produce_time)::float8 AS seconds
FROM outbox
WHERE produce_time <= clock_timestamp() - make_interval(secs => $1)
ORDER BY id
LIMIT $2

-- name: delete_outbox
-- Rows whose work is done.
DELETE FROM outbox WHERE id = ANY ($1::bigint[])

-- name: room_outbox
-- All rows of a room, with which of them were produced.
SELECT id, event, produce_time IS NOT NULL AS produced FROM outbox WHERE room_id = $1 ORDER BY id

-- name: unmark_outbox
-- Rows that were lost with the log wait again.
UPDATE outbox SET produce_time = NULL WHERE id = ANY ($1::bigint[])

-- name: stale_outbox
-- Rooms whose writer did not drain them: it is slow, or gone.
SELECT DISTINCT room_id FROM outbox
WHERE produce_time IS NULL AND create_time < clock_timestamp() - make_interval(secs => $1)
LIMIT $2

-- name: count_outbox
-- How many events wait.
SELECT count(*) FROM outbox WHERE produce_time IS NULL
