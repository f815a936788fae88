-- Used by: UserDirectory (src/postgres/users.rs), if an issuer has other names for a user.
-- Sets the first and last name. An empty name leaves the column as it is.
UPDATE htx_user
   SET first_name = coalesce(nullif($2, ''), first_name),
       last_name = coalesce(nullif($3, ''), last_name)
 WHERE id = $1
