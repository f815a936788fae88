-- Used by: SessionStore (src/postgres/logins.rs), for logins with the session engine "db", after
-- lock_places.sql in the same transaction. Logins that arrive at the same time share it
-- (src/postgres/batch).
-- For each login: checks the user's row again, inserts the session and sets last_login. It waits for
-- no lock, so that no login holds up its neighbors: a login whose place or whose user's row somebody
-- else has locked is left to record_login_alone.sql. No two logins have the same place ($4 to $5).
-- The user's row is locked as it is read, but only for logins that meet no session: the others write
-- nothing, and don't wait for the disk. Of several logins of one user, last_login is any one's time.
-- A place has one session, or a few that have expired; the order is that of the index, so that the
-- planner, which expects every two hundredth row there, need not sort them. OFFSET 0 keeps it from
-- looking up again the users whose rows are locked.
-- Returns: for each login whose place is locked by this transaction, its number, whether it is done,
-- whether the user's row is still the one that the session was made for, and the existing session,
-- if there is one.
WITH wanted AS (
    SELECT login.user_id, login.password, login.at, login.key, login.data, login.expires, login.revoked_at, login.n,
           met.session_key AS met_key, met.session_data AS met_data
      FROM unnest($1::integer[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::timestamptz[])
           WITH ORDINALITY AS login (user_id, password, at, place, behind, key, data, expires, revoked_at, n)
      LEFT JOIN LATERAL (
               SELECT session_key, session_data
                 FROM django_session
                WHERE session_key ~>=~ login.place
                  AND session_key ~<~ login.behind
                  AND expire_date > login.at
                ORDER BY session_key USING ~<~
                LIMIT 1
           ) AS met ON true
     WHERE login.n = ANY (ARRAY(SELECT unnest(string_to_array(current_setting('label_studio_gate.places'), ','))::bigint))
), opening AS (
    SELECT wanted.n, wanted.at, wanted.key, wanted.data, wanted.expires, account.id
      FROM wanted
     CROSS JOIN (VALUES (false)) AS absent (is_deleted)
     CROSS JOIN LATERAL (
               SELECT id
                 FROM htx_user
                WHERE /* the user of the login */
                  FOR NO KEY UPDATE SKIP LOCKED
           ) AS account
     WHERE wanted.met_key IS NULL
       AND /* revoked at */ IS NOT DISTINCT FROM wanted.revoked_at
), opened AS (
    INSERT INTO django_session (session_key, session_data, expire_date)
    SELECT key, data, expires FROM opening
), recorded AS (
    UPDATE htx_user
       SET last_login = opening.at
      FROM opening
     WHERE htx_user.id = opening.id
)
SELECT wanted.n::integer AS n,
       opening.n IS NOT NULL OR wanted.met_key IS NOT NULL OR account.id IS NULL AS is_done,
       opening.n IS NOT NULL OR account.id IS NOT NULL AS unchanged,
       wanted.met_key,
       wanted.met_data
  FROM wanted
  LEFT JOIN opening ON opening.n = wanted.n
 CROSS JOIN (VALUES (false)) AS absent (is_deleted)
  LEFT JOIN LATERAL (
           SELECT id
             FROM htx_user
            WHERE /* the user of the login */
              AND opening.n IS NULL
           OFFSET 0
       ) AS account ON /* revoked at */ IS NOT DISTINCT FROM wanted.revoked_at
