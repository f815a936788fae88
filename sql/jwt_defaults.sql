-- Who: Schema (src/postgres/schema.rs), where Label Studio has jwt_auth (since 1.17).
-- Returns: whether an organization without a row in jwt_auth_jwtsettings has legacy tokens off and JWT tokens on (since 1.22).
-- It shows nowhere but in the list of migrations.
SELECT EXISTS (
           SELECT
             FROM django_migrations
            WHERE app = 'jwt_auth' AND name LIKE '0002%'
       ) AS legacy_tokens_off
