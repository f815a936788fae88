-- Up to when what was issued to the user "account" is revoked: src/postgres/statement.rs puts this in the place of "/* revoked at */", where
-- the gate's own tables are there, and a NULL elsewhere.
(SELECT revocation.revoked_at FROM label_studio_gate.revocation WHERE revocation.user_id = account.id)
