-- Used by: AuditTable (src/postgres/audit.rs), with audit.table. Appends a batch of events, one array
-- per column. A batch that is sent again, because its answer was lost, adds nothing. Columns that the
-- operator has added have their defaults.
--
-- $1: IDs, as hexadecimal digits, $2: times, $3: events, $4: IDs of requests, $5: peers, $6: methods,
-- $7: users, $8: identities without a user, $9: callers, $10: reasons, $11: paths, $12: providers.
INSERT INTO label_studio_gate.audit (id, at, event, request_id, peer, method, user_id, identity, caller_id, reason, path, provider)
SELECT id::uuid, at, event, request_id, peer::inet, method, user_id, identity, caller_id, reason, path, provider
  FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::text[],
              $9::integer[], $10::text[], $11::text[], $12::text[])
       AS batch (id, at, event, request_id, peer, method, user_id, identity, caller_id, reason, path, provider)
    ON CONFLICT DO NOTHING
