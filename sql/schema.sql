-- Used by: Schema (src/postgres/schema.rs), once after startup.
-- Returns: which tables exist. Reading the catalog needs no grant.
SELECT to_regclass('htx_user') IS NOT NULL
       AND to_regclass('organizations_organizationmember') IS NOT NULL
       AND to_regclass('authtoken_token') IS NOT NULL
       AND to_regclass('django_session') IS NOT NULL AS is_label_studio,
       to_regclass('jwt_auth_jwtsettings') IS NOT NULL
       AND to_regclass('token_blacklist_blacklistedtoken') IS NOT NULL AS has_jwt_tokens,
       to_regclass('session_policy_sessiontimeoutpolicy') IS NOT NULL AS has_session_policy,
       to_regclass('label_studio_gate.used_token') IS NOT NULL AS has_some_own_tables,
       to_regclass('label_studio_gate.used_token') IS NOT NULL
       AND to_regclass('label_studio_gate.revocation') IS NOT NULL
       AND to_regclass('label_studio_gate.ended_session') IS NOT NULL AS has_own_tables
