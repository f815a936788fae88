-- Who: UserDirectory (src/postgres/users.rs), for a token to be issued, and for methods 1 and 3.
-- Returns: the user with exactly this e-mail address; else the one whose address differs in the case of ASCII letters alone, if there is
-- only one. The collation "C" keeps lower() from folding what the database's locale folds: U+0130 to i, the Kelvin sign to k.
--
-- The column is unique with regard to case, and Label Studio stores what POST /api/users was given, so two users may differ in case.
-- The scan without an index is a plan's branch that runs only where the exact address is not found.
-- For "absent" see user_by_id.sql.
WITH exact AS (
    SELECT id FROM htx_user WHERE email = $1
), folded AS (
    SELECT min(id) AS id
      FROM htx_user
     WHERE lower(email COLLATE "C") = lower($1::text COLLATE "C")
       AND NOT EXISTS (SELECT FROM exact)
    HAVING count(*) = 1
), found AS (
    SELECT id FROM exact UNION ALL SELECT id FROM folded
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
