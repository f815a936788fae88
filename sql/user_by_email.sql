-- Used by: UserDirectory (src/postgres/users.rs), for issuing a token, and for methods 1 and 3.
-- Requests that arrive at the same time share it (src/postgres/batch).
-- Returns: the users with exactly these email addresses, which are in the unique index of the column.
-- For each address that is looked for, $1 has it as it is and with its ASCII letters in lower case.
--
-- The user with the address in lower case is not the answer yet: user_by_folded_email.sql says
-- whether another one differs in case only.
WITH found AS (
    SELECT id FROM htx_user WHERE email = ANY ($1)
)
/* the user found */
