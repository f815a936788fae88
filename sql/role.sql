-- Creates the gate's role and grants it the least privileges that it needs, by column.
--
-- Run it as the owner of Label Studio's tables, or as a superuser, after Label Studio has migrated,
-- and again after each upgrade of Label Studio:
--
--     psql "$OWNER_DATABASE_URL" -v role=label_studio_gate -f sql/role.sql
--     psql "$OWNER_DATABASE_URL" -c "ALTER ROLE label_studio_gate LOGIN PASSWORD '…'"
--
-- Only a role with CREATEROLE may create roles. If the owner has no such right, an administrator
-- creates the role first, and the owner runs this file then:
--
--     CREATE ROLE label_studio_gate NOINHERIT LOGIN PASSWORD '…';
--
-- Options (-v revoke=on, -v create_users=on, -v staff=on):
--
-- revoke: for POST /api/sso/revoke with signed cookies, which writes the password column.
-- create_users: for every setting of this name (external.create_users, sign_in.create_users, …).
-- staff: for staff_groups, which writes the column is_staff.
-- It is idempotent and never withdraws a grant. Tables and columns that this version of Label
-- Studio does not have are skipped.

\set ON_ERROR_STOP on
\if :{?role}
\else
    \set role label_studio_gate
\endif

\if :{?revoke}
\else
    \set revoke off
\endif
\if :{?create_users}
\else
    \set create_users off
\endif
\if :{?staff}
\else
    \set staff off
\endif

-- A message of its own, because "permission denied to create role" does not say what to do.
SELECT format(
           'DO %L',
           format(
               'BEGIN RAISE EXCEPTION USING MESSAGE = %L, HINT = %L; END',
               format('the role %I does not exist, and %I may not create roles', :'role', current_user),
               format('An administrator of Postgres runs: CREATE ROLE %I NOINHERIT LOGIN PASSWORD ''…''; then run this file again', :'role')
           )
       )
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role')
   AND NOT (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user)
\gexec

SELECT format('CREATE ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS NOLOGIN', :'role')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role')
\gexec

-- Everybody has these two unless an administrator took them away, and only the owner of the database
-- and of the schema may grant them.
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), :'role')
 WHERE NOT has_database_privilege(:'role', current_database(), 'CONNECT')
\gexec
SELECT format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), :'role')
 WHERE NOT has_schema_privilege(:'role', current_schema(), 'USAGE')
\gexec

-- One line per table and privilege. The columns are those that the statements in this directory
-- use.
WITH wanted (relation, privilege, columns) AS (
    VALUES
        -- identity and status of users; the password column ties a session to the password
        ('htx_user', 'SELECT', ARRAY['id', 'email', 'password', 'is_active', 'is_deleted', 'is_staff', 'is_superuser',
                                     'active_organization_id', 'last_login', 'username', 'first_name', 'last_name']),
        ('htx_user', 'UPDATE', ARRAY['last_login', 'first_name', 'last_name']),
        ('organizations_organizationmember', 'SELECT', ARRAY['user_id', 'organization_id', 'deleted_at']),
        -- lifetime of sessions
        ('session_policy_sessiontimeoutpolicy', 'SELECT', ARRAY['organization_id', 'max_session_age']),
        -- sessions
        ('django_session', 'SELECT', ARRAY['session_key', 'session_data', 'expire_date']),
        ('django_session', 'INSERT', ARRAY['session_key', 'session_data', 'expire_date']),
        ('django_session', 'UPDATE', ARRAY['session_data', 'expire_date']),
        -- API tokens, for callers of the token route
        ('authtoken_token', 'SELECT', ARRAY['key', 'user_id']),
        ('jwt_auth_jwtsettings', 'SELECT', ARRAY['organization_id', 'api_tokens_enabled', 'legacy_api_tokens_enabled']),
        ('token_blacklist_outstandingtoken', 'SELECT', ARRAY['id', 'jti']),
        ('token_blacklist_blacklistedtoken', 'SELECT', ARRAY['token_id']),
        -- version of Label Studio
        ('django_migrations', 'SELECT', ARRAY['app', 'name'])
     UNION ALL
    SELECT relation, privilege, columns
      FROM (
        VALUES
            -- what a sign-up writes; RETURNING reads the key
            ('organization', 'SELECT', ARRAY['id']),
            ('htx_user', 'INSERT', ARRAY['password', 'is_superuser', 'username', 'email', 'first_name', 'last_name', 'is_staff', 'is_active',
                                         'date_joined', 'last_activity', 'activity_at', 'phone', 'avatar', 'active_organization_id',
                                         'is_deleted', 'custom_hotkeys']),
            ('organizations_organizationmember', 'INSERT', ARRAY['user_id', 'organization_id', 'created_at', 'updated_at']),
            ('authtoken_token', 'INSERT', ARRAY['key', 'created', 'user_id'])
           ) AS creating (relation, privilege, columns)
     WHERE :'create_users'::boolean
     UNION ALL
    SELECT 'htx_user', 'UPDATE', ARRAY['password']
     WHERE :'revoke'::boolean
     UNION ALL
    SELECT 'htx_user', 'UPDATE', ARRAY['is_staff']
     WHERE :'staff'::boolean
), present AS (
    SELECT wanted.relation, wanted.privilege, string_agg(format('%I', attribute.attname), ', ' ORDER BY attribute.attnum) AS columns
      FROM wanted
      JOIN pg_attribute AS attribute
        ON attribute.attrelid = to_regclass(wanted.relation)
       AND attribute.attname = ANY (wanted.columns)
       AND attribute.attnum > 0
       AND NOT attribute.attisdropped
     GROUP BY wanted.relation, wanted.privilege
)
SELECT format('GRANT %s (%s) ON %I TO %I', privilege, columns, relation, :'role')
  FROM present
 ORDER BY relation, privilege
\gexec

-- Label Studio before 1.14 fills primary keys from sequences, which have privileges of their own.
SELECT format('GRANT USAGE ON SEQUENCE %s TO %I', pg_get_serial_sequence(relation, 'id'), :'role')
  FROM (VALUES ('htx_user'), ('organizations_organizationmember')) AS filled (relation)
 WHERE :'create_users'::boolean
\gexec

-- DELETE cannot be granted by column.
SELECT format('GRANT DELETE ON django_session TO %I', :'role')
\gexec
