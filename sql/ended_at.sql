-- Who: SessionStore (src/postgres/sessions.rs), for a session that is a signed cookie.
-- Returns: when the session with the mark $1 ended, if that was noted.
SELECT ended_at
  FROM label_studio_gate.ended_session
 WHERE mark = $1
