-- Used by: SessionStore (src/postgres/logins.rs), for a login with the session engine
-- "signed_cookies" that has to wait for a lock.
-- Checks the user's row again and sets last_login. The session itself is the cookie.
-- Returns: whether the user's row is still the one that the session was made for, and when a session
-- with the same mark ($5) last ended.
WITH account AS (
    SELECT account.id
      FROM (VALUES ($1::integer, $2::text)) AS wanted (user_id, password)
     CROSS JOIN (VALUES (false)) AS absent (is_deleted)
     CROSS JOIN LATERAL (
               SELECT id
                 FROM htx_user
                WHERE /* the user of the login */
           ) AS account
     WHERE /* revoked at */ IS NOT DISTINCT FROM $4::timestamptz
), recorded AS (
    UPDATE htx_user
       SET last_login = wanted.at
      FROM (VALUES ($3::timestamptz)) AS wanted (at)
     WHERE id = $1
       AND /* last_login is due */
       AND EXISTS (SELECT FROM account)
)
SELECT EXISTS (SELECT FROM account) AS unchanged,
       /* ended at */ AS ended_at
  FROM (VALUES ($5::bytea)) AS wanted (mark)
