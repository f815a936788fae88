-- The time up to which everything that was issued to the user "account" is revoked.
-- src/postgres/statement.rs inserts it for "/* revoked at */" if the gate's own tables exist, and a
-- NULL otherwise.
(SELECT revocation.revoked_at FROM label_studio_gate.revocation WHERE revocation.user_id = account.id)
