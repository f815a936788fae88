-- Creates an index for email addresses that differ from the stored one in case, or that no user
-- has. Optional: without it, such a look-up scans the table of users (some 40 ms with 100,000). It
-- serves user_by_folded_email.sql and create_user.sql.
--
-- Run it as the owner of Label Studio's tables, at any time; the tables stay writable:
--
--     psql "$OWNER_DATABASE_URL" -f sql/indexes.sql
--
-- It is idempotent. To undo it: DROP INDEX CONCURRENTLY label_studio_gate_email

\set ON_ERROR_STOP on

-- An interrupted run leaves an index that Postgres maintains but never uses.
SELECT format('DROP INDEX CONCURRENTLY %s', indexrelid::regclass)
  FROM pg_index
 WHERE indexrelid = to_regclass('label_studio_gate_email')
   AND NOT indisvalid
\gexec

CREATE INDEX CONCURRENTLY IF NOT EXISTS label_studio_gate_email ON htx_user (lower(email COLLATE "C"));

-- Until the next ANALYZE, Postgres misjudges how many rows it finds by the expression.
ANALYZE htx_user;
