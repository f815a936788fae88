-- Used by: SessionStore (src/postgres/sessions.rs), with token.use = "once".
-- Records the first use of a token, and deletes some expired tokens, which cannot be used again.
-- Returns: whether this use is the first, or falls into the grace period for a page's parallel
-- requests.
-- $1: fingerprint, $2: digest of the peer's address, $3: grace period in seconds,
-- $4: when the row may be deleted.
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
