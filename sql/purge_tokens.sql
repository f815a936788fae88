-- Who: purge (src/postgres/purge.rs), where the gate's own tables are there.
-- Does: forgets used tokens that have expired, and ended sessions that would have.
WITH sessions AS (
    DELETE FROM label_studio_gate.ended_session
     WHERE expires_at < now()
)
DELETE FROM label_studio_gate.used_token
 WHERE expires_at < now()
