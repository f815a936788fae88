-- Used by: SessionStore (src/postgres/sessions.rs), for the session cookies of requests. Requests
-- that arrive at the same time share it (src/postgres/batch).
-- Returns: the place in the arrays of each session that exists and has not expired, its data, and
-- the user who is expected to be its owner ($3), or NULL if none is expected or there is no such
-- user. Django compares the expiry in the same way (django/contrib/sessions/backends/db.py).
WITH wanted AS (
    SELECT key, now, owner, n
      FROM unnest($1::text[], $2::timestamptz[], $3::integer[]) WITH ORDINALITY AS session (key, now, owner, n)
), found AS (
    SELECT DISTINCT owner AS id FROM wanted WHERE owner IS NOT NULL
), owner AS (
/* the user found */
)
SELECT wanted.n::integer AS n,
       session.session_data,
       owner.*
  FROM wanted
  JOIN django_session AS session
    ON session.session_key = wanted.key
   AND session.expire_date > wanted.now
  LEFT JOIN owner ON owner.id = wanted.owner
