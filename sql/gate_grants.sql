-- The rights of the service's role to the gate's own tables, for "label-studio-gate migrate --role". The gate puts the role's quoted name in.
GRANT USAGE ON SCHEMA label_studio_gate TO /* role */;
GRANT SELECT, INSERT, UPDATE, DELETE ON label_studio_gate.used_token, label_studio_gate.revocation, label_studio_gate.ended_session TO /* role */;
