-- Used by: ApiTokens (src/postgres/tokens.rs), for legacy tokens at the token route and in API calls,
-- with Label Studio before 1.17, where legacy tokens are the only ones and cannot be disabled.
-- Returns: the same as owner_of_key.sql. $3 and $4 are the values of the two switches.
SELECT token.key,
       owner.id,
       owner.is_active AND NOT owner.is_deleted AS is_active,
       owner.is_staff OR owner.is_superuser AS is_admin,
       owner.is_superuser,
       $3::boolean AS legacy_tokens_enabled,
       $4::boolean AS jwt_tokens_enabled
  FROM authtoken_token AS token
 CROSS JOIN (VALUES (false)) AS absent (is_deleted)
 CROSS JOIN LATERAL (
           SELECT id, is_active, is_staff, is_superuser, is_deleted
             FROM htx_user
            WHERE id = token.user_id
       ) AS owner
 WHERE token.key ~>=~ $1
   AND token.key ~<~ $2
