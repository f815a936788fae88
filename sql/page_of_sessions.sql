-- Used by: SessionStore (src/postgres/sessions.rs), to find the sessions of one user.
-- Returns: up to 500 live sessions with keys after $1. The owner of a session is recorded only in
-- its data, which is signed and often compressed, so Postgres cannot filter by user.
SELECT session_key, session_data
  FROM django_session
 WHERE session_key > $1
   AND expire_date > $2
 ORDER BY session_key
 LIMIT 500
