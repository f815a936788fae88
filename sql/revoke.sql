-- Used by: UserDirectory (src/postgres/users.rs), for POST /api/sso/revoke, if the gate's own
-- tables exist. Revokes everything that was issued to the user $1 up to $2. A later revocation is
-- never replaced by an earlier one, so a slow clock does no harm.
INSERT INTO label_studio_gate.revocation AS known (user_id, revoked_at)
VALUES ($1, $2)
    ON CONFLICT (user_id) DO UPDATE
   SET revoked_at = greatest(known.revoked_at, EXCLUDED.revoked_at)
