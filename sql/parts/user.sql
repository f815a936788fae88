-- The columns of users, for every statement that returns some. src/postgres/statement.rs inserts it
-- for "/* the user found */". "found" is a table expression of the statement; its column id holds
-- the primary keys of the users.
--
-- "absent" supplies columns that only some versions of Label Studio have. Inside the subqueries, an
-- unqualified name means the table's own column if it exists, and the outer constant otherwise. So
-- one text serves every version, with grants by column. The memberships need a subquery of their
-- own, because an aggregate over an outer constant would belong to the outer query.
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
  FROM found
 CROSS JOIN (VALUES (false, NULL::timestamptz)) AS absent (is_deleted, deleted_at)
 CROSS JOIN LATERAL (
           SELECT id, email, password, first_name, last_name, is_active, is_staff, is_superuser, active_organization_id, is_deleted
             FROM htx_user
            WHERE id = found.id
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
