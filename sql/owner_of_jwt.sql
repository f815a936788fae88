-- Used by: ApiTokens (src/postgres/tokens.rs), for "Authorization: Bearer …" at the token route and in API calls,
-- with Label Studio 1.17 and later.
-- Returns: the user, and whether the token with the ID $2 is revoked. A token that is in no table
-- is not revoked, because simplejwt checks only the blacklist.
--
-- $3, $4: see owner_of_key.sql.
SELECT owner.id,
       owner.is_active AND NOT owner.is_deleted AS is_active,
       owner.is_staff OR owner.is_superuser AS is_admin,
       owner.is_superuser,
       owner.active_organization_id IS NULL OR coalesce(switch.legacy_api_tokens_enabled, $3) AS legacy_tokens_enabled,
       owner.active_organization_id IS NOT NULL AND coalesce(switch.api_tokens_enabled, $4) AS jwt_tokens_enabled,
       EXISTS (
           SELECT
             FROM token_blacklist_outstandingtoken AS outstanding
             JOIN token_blacklist_blacklistedtoken AS blacklisted ON blacklisted.token_id = outstanding.id
            WHERE outstanding.jti = $2
       ) AS revoked
  FROM (VALUES (false)) AS absent (is_deleted)
 CROSS JOIN LATERAL (
           SELECT id, is_active, is_staff, is_superuser, active_organization_id, is_deleted
             FROM htx_user
            WHERE id = $1
       ) AS owner
  LEFT JOIN jwt_auth_jwtsettings AS switch ON switch.organization_id = owner.active_organization_id
