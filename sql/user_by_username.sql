-- Used by: UserDirectory (src/postgres/users.rs), for claims without an email address, if a
-- username claim is configured.
-- Returns: the user with exactly this username, if there is only one, because the column is not
-- unique. Email addresses are not considered: anybody can choose a local part that somebody else
-- has at another domain.
WITH found AS (
    SELECT min(id) AS id FROM htx_user WHERE username = $1 HAVING count(*) = 1
)
/* the user found */
