-- Used by: ApiTokens (src/postgres/tokens.rs), for legacy tokens at the token route and in API calls,
-- with Label Studio 1.17 and later.
-- Returns: every token between $1 and $2 with its owner, that is, those that share the first
-- characters of the presented one. The gate compares the whole keys in constant time. The operators
-- are those of the index authtoken_token_key_…_like.
--
-- $3, $4: what a missing row of jwt_auth_jwtsettings means for legacy tokens and for JWT tokens,
-- which differs by version. A user without an active organization passes Label Studio's own check
-- (jwt_auth/auth.py, TokenAuthenticationPhaseout). For "absent" see parts/user.sql.
SELECT token.key,
       owner.id,
       owner.is_active AND NOT owner.is_deleted AS is_active,
       owner.is_staff OR owner.is_superuser AS is_admin,
       owner.is_superuser,
       owner.active_organization_id IS NULL OR coalesce(switch.legacy_api_tokens_enabled, $3) AS legacy_tokens_enabled,
       owner.active_organization_id IS NOT NULL AND coalesce(switch.api_tokens_enabled, $4) AS jwt_tokens_enabled
  FROM authtoken_token AS token
 CROSS JOIN (VALUES (false)) AS absent (is_deleted)
 CROSS JOIN LATERAL (
           SELECT id, is_active, is_staff, is_superuser, active_organization_id, is_deleted
             FROM htx_user
            WHERE id = token.user_id
       ) AS owner
  LEFT JOIN jwt_auth_jwtsettings AS switch ON switch.organization_id = owner.active_organization_id
 WHERE token.key ~>=~ $1
   AND token.key ~<~ $2
