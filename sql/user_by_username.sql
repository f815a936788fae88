-- Who: UserDirectory (src/postgres/users.rs), for claims without an e-mail address, where a username claim is configured.
-- Returns: the user with exactly this username, if there is only one: the column is not unique. The address plays no part: anybody can
-- choose a local part that somebody else has at another domain.
-- For "absent" see user_by_id.sql.
WITH found AS (
    SELECT min(id) AS id FROM htx_user WHERE username = $1 HAVING count(*) = 1
)
SELECT account.id,
       account.email,
       account.password,
       account.first_name,
       account.last_name,
       account.is_active AND NOT account.is_deleted AS is_active,
       account.is_staff OR account.is_superuser AS is_privileged,
       account.active_organization_id,
       coalesce(membership.removed, false) AS removed
  FROM (VALUES (false, NULL::timestamptz)) AS absent (is_deleted, deleted_at)
 CROSS JOIN LATERAL (
           SELECT id, email, password, first_name, last_name, is_active, is_staff, is_superuser, active_organization_id, is_deleted
             FROM htx_user
            WHERE id = (SELECT found.id FROM found)
       ) AS account
 CROSS JOIN LATERAL (
           SELECT bool_and(membership_row.removed) AS removed
             FROM (
                      SELECT deleted_at IS NOT NULL AS removed
                        FROM organizations_organizationmember
                       WHERE user_id = account.id
                         AND (account.active_organization_id IS NULL OR organization_id = account.active_organization_id)
                  ) AS membership_row
       ) AS membership
