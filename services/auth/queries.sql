-- Accounts -----------------------------------------------------------------------------------------------------------

-- name: reserve_account
-- The unique name decides between two registrations; no row comes back to the one that lost.
INSERT INTO auth.account (user_id, username, username_key, password_hash, state, attempt, create_time)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (username_key) DO NOTHING
RETURNING user_id

-- name: get_account_by_name
SELECT user_id, username, password_hash, state, attempt, create_time
FROM auth.account
WHERE username_key = $1

-- name: get_active_account
SELECT user_id, username, password_hash, state, attempt, create_time
FROM auth.account
WHERE username_key = $1 AND state = 'active'

-- name: activate_account
-- Fenced by the attempt: whoever gave it up has raised the number.
UPDATE auth.account
SET state = 'active'
WHERE user_id = $1 AND attempt = $2 AND state = 'pending'
RETURNING user_id

-- name: abandon_account
-- The raised attempt belongs to the caller, who alone may remove the account now.
UPDATE auth.account
SET state = 'abandoned', attempt = attempt + 1
WHERE user_id = $1 AND attempt = $2 AND state <> 'active'
RETURNING user_id, username, password_hash, state, attempt, create_time

-- name: remove_account
DELETE FROM auth.account
WHERE user_id = $1 AND attempt = $2 AND state = 'abandoned'

-- name: list_unfinished_accounts
SELECT user_id, username, password_hash, state, attempt, create_time
FROM auth.account
WHERE state <> 'active' AND create_time < $1
ORDER BY user_id
LIMIT $2

-- name: replace_password_hash
-- Conditional, so that it never undoes a change of the password.
UPDATE auth.account
SET password_hash = $3
WHERE user_id = $1 AND password_hash = $2

-- name: lock_account
-- Sign-ins of one user take turns, so that the limit of sessions is exact.
SELECT user_id
FROM auth.account
WHERE user_id = $1
FOR UPDATE

-- Sessions -----------------------------------------------------------------------------------------------------------

-- name: add_session
INSERT INTO auth.session (
    session_id, user_id, device_name, seed, generation,
    create_time, last_refresh_time, idle_expire_time, expire_time
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: add_refresh_token
INSERT INTO auth.refresh_token (session_id, generation, token_hash)
VALUES ($1, $2, $3)

-- name: end_surplus_sessions
-- The newest by id stay; the one just opened always does.
UPDATE auth.session
SET end_time = $4, end_reason = 'too_many_sessions'
WHERE session_id IN (
    SELECT session_id
    FROM auth.session
    WHERE user_id = $1 AND session_id <> $2 AND end_time IS NULL AND idle_expire_time > $4 AND expire_time > $4
    ORDER BY session_id DESC
    OFFSET $3
)
RETURNING session_id

-- name: find_refresh_token
SELECT
    s.session_id, s.user_id, s.device_name, s.seed, s.generation, s.create_time, s.last_refresh_time,
    s.idle_expire_time, s.expire_time, s.end_time, s.end_reason,
    a.username, t.generation AS token_generation, t.replaced_time, t.replaced_from
FROM auth.refresh_token AS t
JOIN auth.session AS s USING (session_id)
JOIN auth.account AS a USING (user_id)
WHERE t.token_hash = $1

-- name: rotate_refresh_token
-- One conditional update picks the winner (RFC 9700 section 4.14); the rest follows from its row or does nothing.
WITH winner AS (
    UPDATE auth.session
    SET generation = generation + 1, last_refresh_time = $4, idle_expire_time = $5
    WHERE session_id = $1 AND generation = $2 AND end_time IS NULL
    RETURNING session_id, generation
), spent AS (
    UPDATE auth.refresh_token AS t
    SET replaced_by = winner.generation, replaced_time = $4, replaced_from = $6
    FROM winner
    WHERE t.session_id = winner.session_id AND t.generation = $2 AND t.replaced_by IS NULL
    RETURNING t.session_id, t.replaced_by
)
INSERT INTO auth.refresh_token (session_id, generation, token_hash)
SELECT session_id, replaced_by, $3
FROM spent
RETURNING generation

-- name: end_session
UPDATE auth.session
SET end_time = $3, end_reason = $2
WHERE session_id = $1 AND end_time IS NULL
RETURNING session_id

-- name: list_not_standing
SELECT DISTINCT asked.session_id
FROM unnest($1::bigint[]) AS asked (session_id)
LEFT JOIN auth.session AS s
    ON s.session_id = asked.session_id AND s.end_time IS NULL AND s.idle_expire_time > $2 AND s.expire_time > $2
WHERE s.session_id IS NULL
ORDER BY asked.session_id

-- name: purge_sessions
-- Their refresh tokens go with them.
DELETE FROM auth.session
WHERE session_id IN (
    SELECT session_id
    FROM auth.session
    WHERE COALESCE(end_time, LEAST(idle_expire_time, expire_time)) < $1
    LIMIT $2
)
RETURNING session_id

-- Audit log ----------------------------------------------------------------------------------------------------------

-- name: append_audit_event
INSERT INTO auth.audit_event (kind, create_time, user_id, session_id, address)
VALUES ($1, $2, $3, $4, $5)

-- Signing keys -------------------------------------------------------------------------------------------------------

-- name: lock_signing_keys
-- One instance at a time plans a change; the others then find it done.
SELECT pg_advisory_xact_lock(hashtext('auth.signing_key'))

-- name: list_signing_keys
SELECT kid, state, public_jwk, sealed_private, not_before, not_after
FROM auth.signing_key
ORDER BY not_before, kid

-- name: put_signing_key
INSERT INTO auth.signing_key (kid, state, public_jwk, sealed_private, not_before, not_after)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (kid) DO UPDATE
SET state = EXCLUDED.state, sealed_private = EXCLUDED.sealed_private,
    not_before = EXCLUDED.not_before, not_after = EXCLUDED.not_after

-- name: remove_signing_key
DELETE FROM auth.signing_key
WHERE kid = $1
