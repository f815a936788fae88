-- Used by: purge_audit (src/postgres/audit.rs), with audit.table and audit.retention_days.
-- Deletes a batch of the audit events from before $1. Without the grant for it (migrate gives it with
-- audit.retention_days), the service's role can only append.
-- Returns: the deleted events.
DELETE FROM label_studio_gate.audit
 WHERE id IN (SELECT id
                FROM label_studio_gate.audit
               WHERE at < $1
               LIMIT 1000)
RETURNING id
