-- Used by: SessionStore (src/postgres/sessions.rs), for the session cookie of a request with
-- a token.
-- Returns: the data of the session, unless it has expired. Django compares the same way
-- (django/contrib/sessions/backends/db.py).
SELECT session_data
  FROM django_session
 WHERE session_key = $1
   AND expire_date > $2
