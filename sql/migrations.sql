-- Used by: Schema (src/postgres/schema.rs), with schema.sql. Only the list of migrations tells
-- these.
-- Returns: whether an organization without a row in jwt_auth_jwtsettings has legacy tokens disabled
-- and JWT tokens enabled (since 1.22); and whether Label Studio signs with a SECRET_KEY of its own
-- (since 1.8.2, which added this migration) rather than with a constant in its source code.
SELECT coalesce(bool_or(app = 'jwt_auth' AND name LIKE '0002%'), false) AS legacy_tokens_off,
       coalesce(bool_or(app = 'tasks' AND name = '0040_auto_20230628_1101'), false) AS has_own_secret_key
  FROM django_migrations
