-- Used by: "label-studio-gate migrate --role", to grant the service's role access to the gate's own
-- tables. The gate inserts the quoted name of the role.
GRANT USAGE ON SCHEMA label_studio_gate TO /* role */;
GRANT SELECT, INSERT, UPDATE, DELETE ON label_studio_gate.used_token, label_studio_gate.revocation, label_studio_gate.ended_session TO /* role */;
-- The service can't read, change or delete what it wrote.
GRANT INSERT ON label_studio_gate.audit TO /* role */;
