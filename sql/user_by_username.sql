-- Who: UserDirectory (src/postgres/users.rs), for claims without an e-mail address, where a username claim is configured.
-- Returns: the user with exactly this username, if there is only one: the column is not unique. The address plays no part: anybody can
-- choose a local part that somebody else has at another domain.
WITH found AS (
    SELECT min(id) AS id FROM htx_user WHERE username = $1 HAVING count(*) = 1
)
/* the user found */
