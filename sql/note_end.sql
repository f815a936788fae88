-- Used by: SessionStore (src/postgres/sessions.rs), when a session in a signed cookie ends.
-- Records that the session with the mark $1 ended at $2. The row may be deleted after $3.
INSERT INTO label_studio_gate.ended_session AS known (mark, ended_at, expires_at)
VALUES ($1, $2, $3)
    ON CONFLICT (mark) DO UPDATE
   SET ended_at = greatest(known.ended_at, EXCLUDED.ended_at),
       expires_at = greatest(known.expires_at, EXCLUDED.expires_at)
