-- Used by: UserDirectory (src/postgres/users.rs), for tokens and sessions that name the user by
-- primary key. Requests that arrive at the same time share it (src/postgres/batch).
-- Returns: the users with these primary keys, as far as there are such users. $1 has no duplicates.
WITH found AS (
    SELECT unnest($1::integer[]) AS id
)
/* the user found */
