-- Used by: doctor (src/doctor/database/audit.rs), with audit.table.
-- Returns: the columns that the table lacks, because migrate was not run since an upgrade.
SELECT expected.name
  FROM unnest(ARRAY['id', 'at', 'event', 'request_id', 'peer', 'method', 'user_id', 'identity', 'caller_id', 'reason',
                    'path', 'provider']) AS expected (name)
 WHERE NOT EXISTS (SELECT
                     FROM pg_attribute
                    WHERE attrelid = to_regclass('label_studio_gate.audit')
                      AND attname = expected.name
                      AND NOT attisdropped)
