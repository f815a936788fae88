-- Used by: UserDirectory (src/postgres/users.rs), for a token that names the user by primary key.
-- Returns: the user, if there is one.
WITH found AS (
    SELECT $1::integer AS id
)
/* the user found */
