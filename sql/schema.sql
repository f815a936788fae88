-- Used by: Schema (src/postgres/schema.rs), at start, every few minutes, and after a statement has
-- failed for lack of a right or a column.
-- Returns: which tables exist. Reading the catalog needs no grant. to_regclass would fail for the
-- gate's own schema if the role may not use it.
SELECT current_database()::text AS database,
       to_regclass('htx_user') IS NOT NULL
       AND to_regclass('organizations_organizationmember') IS NOT NULL
       AND to_regclass('authtoken_token') IS NOT NULL
       AND to_regclass('django_session') IS NOT NULL AS is_label_studio,
       to_regclass('jwt_auth_jwtsettings') IS NOT NULL
       AND to_regclass('token_blacklist_blacklistedtoken') IS NOT NULL AS has_jwt_tokens,
       to_regclass('session_policy_sessiontimeoutpolicy') IS NOT NULL AS has_session_policy,
       coalesce(has_column_privilege(to_regclass('htx_user')::oid, 'is_staff', 'UPDATE'), false) AS may_set_staff,
       own.tables > 0 AS has_some_own_tables,
       own.tables = 3 AS has_own_tables,
       own.usable = 3 AS may_use_own_tables,
       EXISTS (
           SELECT
             FROM pg_attribute AS attribute
             JOIN pg_class AS relation
               ON relation.oid = attribute.attrelid
              AND relation.relname = 'audit'
             JOIN pg_namespace AS namespace
               ON namespace.oid = relation.relnamespace
              AND namespace.nspname = 'label_studio_gate'
            WHERE attribute.attname = 'provider'
              AND NOT attribute.attisdropped
       ) AS audit_has_provider,
       -- If the role does not see htx_user, the schema where it is.
       CASE WHEN to_regclass('htx_user') IS NULL THEN users.schema END AS hidden_in,
       coalesce(users.may_use_schema, false) AS may_use_schema
  FROM (
           SELECT count(*) AS tables,
                  count(*) FILTER (
                      WHERE has_schema_privilege(namespace.oid, 'USAGE')
                        AND has_table_privilege(relation.oid, 'SELECT')
                        AND has_table_privilege(relation.oid, 'INSERT')
                        AND has_table_privilege(relation.oid, 'UPDATE')
                        AND has_table_privilege(relation.oid, 'DELETE')
                  ) AS usable
             FROM pg_class AS relation
             JOIN pg_namespace AS namespace
               ON namespace.oid = relation.relnamespace
              AND namespace.nspname = 'label_studio_gate'
            WHERE relation.relname IN ('used_token', 'revocation', 'ended_session')
       ) AS own
  LEFT JOIN (
           SELECT namespace.nspname::text AS schema,
                  has_schema_privilege(namespace.oid, 'USAGE') AS may_use_schema
             FROM pg_class AS relation
             JOIN pg_namespace AS namespace
               ON namespace.oid = relation.relnamespace
            WHERE relation.relname = 'htx_user'
              AND relation.relkind IN ('r', 'p')
            ORDER BY may_use_schema DESC, schema
            LIMIT 1
       ) AS users
    ON true
