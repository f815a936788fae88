-- Who: SessionStore (src/postgres/sessions.rs), for the session cookie that came with a token.
-- Returns: the session's data, unless it has expired. Django compares the same way (django/contrib/sessions/backends/db.py).
SELECT session_data
  FROM django_session
 WHERE session_key = $1
   AND expire_date > $2
