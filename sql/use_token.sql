-- Who: SessionStore (src/postgres/sessions.rs), with token.use = "once".
-- Does: notes the first use of a token, and forgets some that have expired: they cannot be used again anyway.
-- Returns: whether this use is the first, or one of those that a page makes at the same moment.
-- $1: fingerprint, $2: digest of the client's address, $3: seconds in which such uses may come, $4: when it may be forgotten.
WITH forgotten AS (
    DELETE FROM label_studio_gate.used_token
     WHERE fingerprint IN (
               SELECT fingerprint
                 FROM label_studio_gate.used_token
                WHERE expires_at < now()
                LIMIT 10
                  FOR UPDATE SKIP LOCKED
           )
)
INSERT INTO label_studio_gate.used_token AS known (fingerprint, client, used_at, expires_at)
VALUES ($1, $2, now(), $4)
    ON CONFLICT (fingerprint) DO UPDATE
   SET fingerprint = known.fingerprint
RETURNING client = $2 AND used_at >= now() - make_interval(secs => $3) AS accepted
