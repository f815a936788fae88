-- Used by: purge (src/postgres/purge.rs), if the gate's own tables exist.
-- Deletes used tokens that have expired, and ended sessions that would have expired by now.
WITH sessions AS (
    DELETE FROM label_studio_gate.ended_session
     WHERE expires_at < now()
)
DELETE FROM label_studio_gate.used_token
 WHERE expires_at < now()
