-- Used by: UserDirectory (src/postgres/users.rs), for issuing a token, and for methods 1 and 3.
-- Returns: the user with exactly the email address $1; otherwise the one with the address $2, which
-- is $1 with its ASCII letters in lower case. Both are in the unique index of the column.
--
-- The user with the address $2 is not the answer yet: user_by_folded_email.sql says whether another
-- one differs from $1 in case only.
WITH found AS (
    SELECT id FROM htx_user WHERE email IN ($1, $2) ORDER BY email = $1 DESC LIMIT 1
)
/* the user found */
