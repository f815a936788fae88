-- Who: SessionStore (src/postgres/sessions.rs), to find the sessions of one user.
-- Returns: some sessions that have not expired, behind the key $1. Whose they are stands in their data, which is signed and often compressed.
SELECT session_key, session_data
  FROM django_session
 WHERE session_key > $1
   AND expire_date > $2
 ORDER BY session_key
 LIMIT 500
