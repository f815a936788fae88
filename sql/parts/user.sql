-- The columns of a user, wherever a statement returns one: src/postgres/statement.rs puts this in the place of "/* the user found */".
-- "found" is a table expression of the statement, with the primary key of one user in its column id, or none.
--
-- "absent" stands for columns that only some versions of Label Studio have: inside the subqueries an unqualified name means the table's
-- own column where there is one, and the outer constant where there is none. So one text serves every version, with grants by column.
-- The memberships stand in a subquery of their own, because an aggregate over an outer constant would belong to the outer query.
SELECT account.id,
       account.email,
       account.password,
       account.first_name,
       account.last_name,
       account.is_active AND NOT account.is_deleted AS is_active,
       account.is_staff OR account.is_superuser AS is_privileged,
       account.is_superuser,
       account.active_organization_id,
       coalesce(membership.removed, false) AS removed,
       /* revoked at */ AS revoked_at
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
