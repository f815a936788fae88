-- Used by: UserDirectory (src/postgres/users.rs), for POST /api/sso/revoke, if the gate's own
-- tables exist. Revokes everything that was issued to the user $1 before this statement.
-- The time comes from the server, because the gates' clocks differ, and it is later than that of
-- every earlier revocation of the user, because sessions and tokens name the last one they know of.
-- Returns: that time.
INSERT INTO label_studio_gate.revocation AS known (user_id, revoked_at)
VALUES ($1, clock_timestamp())
    ON CONFLICT (user_id) DO UPDATE
   SET revoked_at = greatest(known.revoked_at + interval '1 microsecond', EXCLUDED.revoked_at)
RETURNING revoked_at
