-- Used by: doctor (src/doctor/database/addresses.rs).
-- Returns: about how many users there are, as of the last VACUUM or ANALYZE, and whether the index
-- of indexes.sql, or one like it, can be used. Reading the catalog needs no grant.
SELECT greatest(reltuples, 0)::bigint AS users,
       EXISTS (
           SELECT
             FROM pg_index
            WHERE indrelid = pg_class.oid
              AND indisvalid
              AND pg_get_expr(indexprs, indrelid) LIKE 'lower(%email%COLLATE "C"%'
       ) AS has_index
  FROM pg_class
 WHERE oid = to_regclass('htx_user')
