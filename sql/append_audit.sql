-- Used by: AuditTable (src/postgres/audit.rs), with audit.table. Appends a batch of events, one array
-- per column. A batch that is sent again, because its answer was lost, adds nothing. A column that the
-- table lacks, because migrate was not run since an upgrade, is left out.
--
-- $1: IDs, as hexadecimal digits, $2: times, $3: events, $4: IDs of requests, $5: peers, $6: methods,
-- $7: users, $8: identities without a user, $9: callers, $10: reasons, $11: paths, $12: providers.
INSERT INTO label_studio_gate.audit
SELECT event.*
  FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::text[],
              $9::integer[], $10::text[], $11::text[], $12::text[])
       AS batch (id, at, event, request_id, peer, method, user_id, identity, caller_id, reason, path, provider),
       jsonb_populate_record(NULL::label_studio_gate.audit, to_jsonb(batch)) AS event
    ON CONFLICT DO NOTHING
