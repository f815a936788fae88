-- Used by: SessionStore (src/postgres/logins.rs), for logins with the session engine
-- "signed_cookies". Logins that arrive at the same time share it (src/postgres/batch).
-- For each login: checks the user's row again and sets last_login. The session itself is the cookie.
-- It waits for no lock, so that no login holds up its neighbors: a login whose user's row somebody
-- else has locked is left to record_login_signed_cookies_alone.sql. Of several logins of one user,
-- last_login is any one's time. OFFSET 0 keeps the planner from looking up again the users whose rows
-- are locked.
-- Returns: for each login, its number, whether it is done, whether the user's row is still the one
-- that the session was made for, and when a session with the same mark ($5) last ended: the new
-- session carries that, and begins after it.
--
-- A page loads with many requests that may all carry the token, so last_login is written at most
-- once in ten seconds. Nobody waits until it is on the disk, because it decides nothing: a crash of the
-- server may lose that of the last half second (PostgreSQL 15, §30.4).
WITH relaxed AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true)
), wanted AS (
    SELECT user_id, password, at, revoked_at, mark, n
      FROM unnest($1::integer[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::bytea[])
           WITH ORDINALITY AS login (user_id, password, at, revoked_at, mark, n)
), due AS (
    SELECT wanted.n, wanted.at, account.id
      FROM wanted
     CROSS JOIN (VALUES (false)) AS absent (is_deleted)
     CROSS JOIN LATERAL (
               SELECT id
                 FROM htx_user
                WHERE /* the user of the login */
                  AND /* last_login is due */
                  FOR NO KEY UPDATE SKIP LOCKED
           ) AS account
     WHERE /* revoked at */ IS NOT DISTINCT FROM wanted.revoked_at
), recorded AS (
    UPDATE htx_user
       SET last_login = due.at
      FROM due
     WHERE htx_user.id = due.id
)
SELECT wanted.n::integer AS n,
       due.n IS NOT NULL OR account.id IS NULL OR NOT account.is_due AS is_done,
       due.n IS NOT NULL OR account.id IS NOT NULL AS unchanged,
       /* ended at */ AS ended_at
  FROM wanted
 CROSS JOIN relaxed
  LEFT JOIN due ON due.n = wanted.n
 CROSS JOIN (VALUES (false)) AS absent (is_deleted)
  LEFT JOIN LATERAL (
           SELECT id, /* last_login is due */ AS is_due
             FROM htx_user
            WHERE /* the user of the login */
              AND due.n IS NULL
           OFFSET 0
       ) AS account ON /* revoked at */ IS NOT DISTINCT FROM wanted.revoked_at
