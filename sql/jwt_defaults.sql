-- Used by: Schema (src/postgres/schema.rs), if Label Studio has jwt_auth (since 1.17).
-- Returns: whether an organization without a row in jwt_auth_jwtsettings has legacy tokens disabled
-- and JWT tokens enabled (since 1.22). Only the list of migrations tells.
SELECT EXISTS (
           SELECT
             FROM django_migrations
            WHERE app = 'jwt_auth' AND name LIKE '0002%'
       ) AS legacy_tokens_off
