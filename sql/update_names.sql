-- Used by: UserDirectory (src/postgres/users.rs), if an issuer has other names for a user.
-- Sets the first and last name, unless something was revoked since the row was read ($4). An empty
-- name leaves the column as it is.
UPDATE htx_user AS account
   SET first_name = coalesce(nullif($2, ''), first_name),
       last_name = coalesce(nullif($3, ''), last_name)
 WHERE account.id = $1
   AND /* revoked at */ IS NOT DISTINCT FROM $4::timestamptz
