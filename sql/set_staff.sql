-- Used by: UserDirectory (src/postgres/users.rs), if an issuer's groups decide who is staff.
-- Sets is_staff ($2), never of a superuser, and of an account with a password only if $3 says so.
-- Returns: whether the account may be changed, and whether it was; nothing if something was revoked
-- since the row was read ($4), so that no token from before grants anything. Of two requests at once,
-- one changes it. UPDATE asks again, because the row may have changed while it waited for its lock.
WITH account AS (
    SELECT account.id, NOT account.is_superuser AND ($3::boolean OR account.password LIKE '!%') AS possible
      FROM htx_user AS account
     WHERE account.id = $1
       AND /* revoked at */ IS NOT DISTINCT FROM $4::timestamptz
), changed AS (
    UPDATE htx_user
       SET is_staff = $2::boolean
     WHERE id = (SELECT id FROM account WHERE possible)
       AND is_staff <> $2::boolean
       AND NOT is_superuser
       AND ($3::boolean OR password LIKE '!%')
    RETURNING id
)
SELECT account.possible, EXISTS (SELECT FROM changed) AS changed
  FROM account
