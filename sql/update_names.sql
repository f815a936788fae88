-- Who: UserDirectory (src/postgres/users.rs), where an issuer knows a user by another name.
-- Does: sets first and last name; an empty one stays as it is.
UPDATE htx_user
   SET first_name = coalesce(nullif($2, ''), first_name),
       last_name = coalesce(nullif($3, ''), last_name)
 WHERE id = $1
