-- Who: SessionStore (src/postgres/sessions.rs), for a session of which it is remembered whose it was: session and user in one round trip.
-- Returns: the session's data, unless it has expired, and the user $3 with the columns of user_by_id.sql, NULL where there is none.
-- For "absent" see user_by_id.sql.
SELECT session.session_data,
       owner.id,
       owner.email,
       owner.password,
       owner.first_name,
       owner.last_name,
       owner.is_active,
       owner.is_privileged,
       owner.active_organization_id,
       owner.removed
  FROM django_session AS session
  LEFT JOIN LATERAL (
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
                       WHERE id = $3
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
       ) AS owner ON true
 WHERE session.session_key = $1
   AND session.expire_date > $2
