-- Who: UserDirectory (src/postgres/users.rs), for claims without an e-mail address.
-- Returns: the user of that name, if exactly one has it: the column is not unique, and Label Studio fills it with what stands before the @
-- of the address. Else the one whose address has it before the @, if there is only one.
WITH named AS (
    SELECT id, username FROM htx_user WHERE username = $1
), local AS (
    SELECT min(id) AS id
      FROM htx_user
     WHERE split_part(email, '@', 1) = $1
       AND NOT EXISTS (SELECT FROM named)
    HAVING count(*) = 1
), found AS (
    SELECT min(id) AS id FROM named HAVING count(*) = 1
     UNION ALL
    SELECT id FROM local
)
/* the user found */
