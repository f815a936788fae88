-- Used by: SessionStore (src/postgres/logins.rs), for a login with the session engine "db" that
-- replaces a session or has to wait for a lock, after lock_place.sql in the same transaction.
-- Checks the user's row again, inserts the session, sets last_login and deletes the session that is
-- replaced, all or nothing.
-- Returns: whether the user's row is still the one that the session was made for, and the existing
-- session, if there is one.
--
-- Parallel requests may carry the same credential. Their session keys share a prefix ($4 to $5),
-- and the lock admits one of them at a time: the first inserts its row, the others find it and
-- write nothing. Their order is that of the index, as in record_login.sql.
WITH account AS (
    SELECT account.id
      FROM (VALUES ($1::integer, $2::text)) AS wanted (user_id, password)
     CROSS JOIN (VALUES (false)) AS absent (is_deleted)
     CROSS JOIN LATERAL (
               SELECT id
                 FROM htx_user
                WHERE /* the user of the login */
           ) AS account
     WHERE /* revoked at */ IS NOT DISTINCT FROM $10::timestamptz
), met AS (
    SELECT session_key, session_data
      FROM django_session
     WHERE session_key ~>=~ $4
       AND session_key ~<~ $5
       AND session_key IS DISTINCT FROM $9
       AND expire_date > $3
       AND EXISTS (SELECT FROM account)
     ORDER BY session_key USING ~<~
     LIMIT 1
), opened AS (
    INSERT INTO django_session (session_key, session_data, expire_date)
    SELECT $6::varchar, $7::text, $8::timestamptz
      FROM account
     WHERE NOT EXISTS (SELECT FROM met)
    RETURNING session_key
), recorded AS (
    UPDATE htx_user
       SET last_login = $3
     WHERE id = $1
       AND EXISTS (SELECT FROM opened)
), ended AS (
    DELETE FROM django_session
     WHERE session_key = $9
       AND EXISTS (SELECT FROM account)
)
SELECT EXISTS (SELECT FROM account) AS unchanged,
       (SELECT session_key FROM met) AS met_key,
       (SELECT session_data FROM met) AS met_data
