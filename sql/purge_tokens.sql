-- Used by: purge (src/postgres/purge.rs), if the gate's own tables exist.
-- Deletes a batch of used tokens that have expired, and one of ended sessions that would have expired
-- by now.
-- Returns: whether there may be more.
WITH sessions AS (
    DELETE FROM label_studio_gate.ended_session
     WHERE mark IN (SELECT mark
                      FROM label_studio_gate.ended_session
                     WHERE expires_at < now()
                     LIMIT 1000)
    RETURNING 1
), tokens AS (
    DELETE FROM label_studio_gate.used_token
     WHERE fingerprint IN (SELECT fingerprint
                             FROM label_studio_gate.used_token
                            WHERE expires_at < now()
                            LIMIT 1000)
    RETURNING 1
)
SELECT (SELECT count(*) FROM sessions) = 1000 OR (SELECT count(*) FROM tokens) = 1000 AS may_be_more
