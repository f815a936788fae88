-- Used by: UserDirectory (src/postgres/users.rs), if an issuer's groups decide who is staff.
-- Sets is_staff ($2), never of a superuser, and of an account with a password only if $3 says so.
-- Returns: whether the account may be changed, and whether it was. Of two requests at once, one
-- changes it. UPDATE asks again, because the row may have changed while it waited for its lock.
WITH account AS (
    SELECT id
      FROM htx_user
     WHERE id = $1
       AND NOT is_superuser
       AND ($3::boolean OR password LIKE '!%')
), changed AS (
    UPDATE htx_user
       SET is_staff = $2::boolean
     WHERE id = (SELECT id FROM account)
       AND is_staff <> $2::boolean
       AND NOT is_superuser
       AND ($3::boolean OR password LIKE '!%')
    RETURNING id
)
SELECT EXISTS (SELECT FROM account) AS possible,
       EXISTS (SELECT FROM changed) AS changed
