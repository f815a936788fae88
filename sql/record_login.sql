-- Used by: SessionStore (src/postgres/logins.rs), for logins with the session engine "db", after
-- lock_places.sql in the same transaction. Logins that arrive at the same time share it
-- (src/postgres/batch).
-- For each login: checks the user's row again, inserts the session and sets last_login. It waits for
-- no lock, so that no login holds up its neighbors: a login whose place or whose user's row somebody
-- else has locked is left to record_login_alone.sql. No two logins have the same place ($4 to $5).
-- OFFSET 0 keeps the planner from reading the index of expire_date backwards, past every other session.
-- Returns: for each login whose place is locked by this transaction, its number, whether it is done,
-- whether the user's row is still the one that the session was made for, and the existing session,
-- if there is one.
WITH wanted AS (
    SELECT user_id, password, at, place, behind, key, data, expires, revoked_at, n
      FROM unnest($1::integer[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::timestamptz[])
           WITH ORDINALITY AS login (user_id, password, at, place, behind, key, data, expires, revoked_at, n)
     WHERE n = ANY (ARRAY(SELECT unnest(string_to_array(current_setting('label_studio_gate.places'), ','))::bigint))
), account AS (
    SELECT wanted.*, account.id
      FROM wanted
     CROSS JOIN (VALUES (false)) AS absent (is_deleted)
     CROSS JOIN LATERAL (
               SELECT id
                 FROM htx_user
                WHERE id = wanted.user_id AND password = wanted.password AND is_active AND NOT is_deleted
           ) AS account
     WHERE /* revoked at */ IS NOT DISTINCT FROM wanted.revoked_at
), met AS (
    SELECT account.n, found.session_key, found.session_data
      FROM account
     CROSS JOIN LATERAL (
               SELECT session_key, session_data
                 FROM (
                          SELECT session_key, session_data, expire_date
                            FROM django_session
                           WHERE session_key ~>=~ account.place
                             AND session_key ~<~ account.behind
                          OFFSET 0
                      ) AS there
                WHERE expire_date > account.at
                ORDER BY expire_date DESC
                LIMIT 1
           ) AS found
), opening AS (
    SELECT account.* FROM account WHERE NOT EXISTS (SELECT FROM met WHERE met.n = account.n)
), free AS (
    SELECT id FROM htx_user WHERE id IN (SELECT id FROM opening) FOR NO KEY UPDATE SKIP LOCKED
), opened AS (
    INSERT INTO django_session (session_key, session_data, expire_date)
    SELECT opening.key, opening.data, opening.expires
      FROM opening
      JOIN free ON free.id = opening.id
        ON CONFLICT (session_key) DO NOTHING
    RETURNING session_key
), recorded AS (
    UPDATE htx_user
       SET last_login = latest.at
      FROM (
               SELECT opening.id, max(opening.at) AS at
                 FROM opening
                 JOIN opened ON opened.session_key = opening.key
                GROUP BY opening.id
           ) AS latest
     WHERE htx_user.id = latest.id
)
SELECT wanted.n::integer AS n,
       account.id IS NULL OR met.n IS NOT NULL OR opened.session_key IS NOT NULL AS is_done,
       account.id IS NOT NULL AS unchanged,
       met.session_key AS met_key,
       met.session_data AS met_data
  FROM wanted
  LEFT JOIN account ON account.n = wanted.n
  LEFT JOIN met ON met.n = wanted.n
  LEFT JOIN opened ON opened.session_key = wanted.key
