-- Used by: "label-studio-gate migrate --role" with audit.table and audit.retention_days, so that the
-- service may delete old audit events. Deleting by time reads two columns.
GRANT DELETE ON label_studio_gate.audit TO /* role */;
GRANT SELECT (id, at) ON label_studio_gate.audit TO /* role */;
