-- Used by: SessionStore (src/postgres/sessions.rs), when a session in a signed cookie ends.
-- Records that the session with the mark $1 has ended, not before $2 and later than ever before.
-- The row may be deleted after $3. The time comes from the server, because the gates' clocks differ.
INSERT INTO label_studio_gate.ended_session AS known (mark, ended_at, expires_at)
VALUES ($1, greatest($2::timestamptz, clock_timestamp()), $3)
    ON CONFLICT (mark) DO UPDATE
   SET ended_at = greatest(known.ended_at + interval '1 microsecond', EXCLUDED.ended_at),
       expires_at = greatest(known.expires_at, EXCLUDED.expires_at)
