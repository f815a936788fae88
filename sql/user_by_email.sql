-- Used by: UserDirectory (src/postgres/users.rs), for issuing a token, and for methods 1 and 3.
-- Returns: the user with exactly this email address; otherwise the user whose address differs only
-- in the case of ASCII letters, if there is only one. The collation "C" keeps lower() from folding
-- what the database's locale folds: U+0130 to i, the Kelvin sign to k.
--
-- The column is unique but case-sensitive, and Label Studio stores the address of POST /api/users
-- unchanged, so two addresses may differ only in case. The scan without an index runs only if the
-- exact address is not found.
WITH exact AS (
    SELECT id FROM htx_user WHERE email = $1
), folded AS (
    SELECT min(id) AS id
      FROM htx_user
     WHERE lower(email COLLATE "C") = lower($1::text COLLATE "C")
       AND NOT EXISTS (SELECT FROM exact)
    HAVING count(*) = 1
), found AS (
    SELECT id FROM exact UNION ALL SELECT id FROM folded
)
/* the user found */
