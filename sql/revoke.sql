-- Who: UserDirectory (src/postgres/users.rs), for POST /api/sso/revoke, where the gate's own tables are there.
-- Does: notes that what was issued to the user $1 up to $2 is revoked. A clock that runs behind does not take an earlier revocation back.
INSERT INTO label_studio_gate.revocation AS known (user_id, revoked_at)
VALUES ($1, $2)
    ON CONFLICT (user_id) DO UPDATE
   SET revoked_at = greatest(known.revoked_at, EXCLUDED.revoked_at)
