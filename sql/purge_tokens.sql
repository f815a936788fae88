-- Who: purge (src/postgres/purge.rs), where the gate's own tables are there.
-- Does: forgets used tokens that have expired.
DELETE FROM label_studio_gate.used_token
 WHERE expires_at < now()
