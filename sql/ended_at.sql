-- Used by: SessionStore (src/postgres/sessions.rs), for a session in a signed cookie.
-- Returns: when the session with the mark $1 ended, if that was recorded.
SELECT ended_at
  FROM label_studio_gate.ended_session
 WHERE mark = $1
