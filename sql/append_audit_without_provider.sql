-- Used by: AuditTable (src/postgres/audit.rs), with audit.table, while the table lacks the column of the
-- provider, because migrate was not run since an upgrade. The same as append_audit.sql but for that.
INSERT INTO label_studio_gate.audit (id, at, event, request_id, peer, method, user_id, identity, caller_id, reason, path)
SELECT id::uuid, at, event, request_id, peer::inet, method, user_id, identity, caller_id, reason, path
  FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::text[],
              $9::integer[], $10::text[], $11::text[])
       AS batch (id, at, event, request_id, peer, method, user_id, identity, caller_id, reason, path)
    ON CONFLICT DO NOTHING
