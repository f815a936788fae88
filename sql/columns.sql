-- Used by: Schema (src/postgres/accounts.rs), with schema.sql.
-- Returns: the columns of the tables that a sign-up writes; whether each may be left out; whether
-- the role may write it; and, for a column that is left out, whether the role may use the sequence
-- that fills it. Django leaves no defaults in the database, and a later Label Studio may require
-- further columns.
SELECT relation.name AS relation,
       attribute.attname::text AS name,
       NOT attribute.attnotnull OR attribute.atthasdef OR attribute.attidentity <> '' AS may_be_left_out,
       has_column_privilege(relation.name, attribute.attname::text, 'INSERT') AS may_be_written,
       attribute.attidentity <> ''
       OR coalesce(has_sequence_privilege(pg_get_serial_sequence(relation.name, attribute.attname::text), 'USAGE'), true) AS may_be_filled
  FROM (VALUES ('htx_user'), ('organizations_organizationmember'), ('authtoken_token')) AS relation (name)
  JOIN pg_attribute AS attribute
    ON attribute.attrelid = to_regclass(relation.name)
   AND attribute.attnum > 0
   AND NOT attribute.attisdropped
 ORDER BY relation.name, attribute.attnum
