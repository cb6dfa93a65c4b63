-- name: put_profile
-- A removed profile keeps its row, so that a call that comes late does not bring it back: then no row is returned.
INSERT INTO "user".profile AS p (
    user_id, username, username_key, display_name, display_name_key, bio, email, email_key, create_time
)
VALUES ($1, $2, $3, $4, $5, '', $6, $7, $8)
ON CONFLICT (user_id) DO UPDATE
SET username = EXCLUDED.username, username_key = EXCLUDED.username_key,
    display_name = EXCLUDED.display_name, display_name_key = EXCLUDED.display_name_key,
    email = EXCLUDED.email, email_key = EXCLUDED.email_key
WHERE p.delete_time IS NULL
RETURNING user_id, username, display_name, bio, email, create_time

-- name: remove_profile
-- What was personal goes; the empty row stays for ever.
INSERT INTO "user".profile (user_id, create_time, delete_time)
VALUES ($1, $2, $2)
ON CONFLICT (user_id) DO UPDATE
SET username = '', username_key = NULL, display_name = '', display_name_key = NULL,
    bio = '', email = '', email_key = NULL, delete_time = EXCLUDED.delete_time

-- name: get_profiles
SELECT user_id, username, display_name, bio, email, create_time
FROM "user".profile
WHERE user_id = ANY ($1::bigint[]) AND delete_time IS NULL
ORDER BY user_id

-- name: update_profile
-- NULL leaves a field as it is.
UPDATE "user".profile
SET display_name = COALESCE($2, display_name), display_name_key = COALESCE($3, display_name_key),
    bio = COALESCE($4, bio)
WHERE user_id = $1 AND delete_time IS NULL
RETURNING user_id, username, display_name, bio, email, create_time

-- name: search_profiles
-- Ranges of text_pattern_ops instead of LIKE: an index is used whatever plan the prepared statement has, and
-- the prefix needs no escaping. $2 ends the range; NULL where there is no end.
SELECT user_id, username, display_name, bio, email, create_time
FROM (
    (
        SELECT *
        FROM "user".profile
        WHERE username_key ~>=~ $1 AND (username_key ~<~ $2 OR $2::text IS NULL) AND username_key ~>~ $3
        ORDER BY username_key USING ~<~
        LIMIT $4
    )
    UNION
    (
        SELECT *
        FROM "user".profile
        WHERE display_name_key ~>=~ $1 AND (display_name_key ~<~ $2 OR $2::text IS NULL) AND username_key ~>~ $3
        ORDER BY username_key USING ~<~
        LIMIT $4
    )
) AS found
ORDER BY username_key USING ~<~
LIMIT $4
