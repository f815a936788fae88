-- Who: UserDirectory (src/postgres/users.rs), for a token to be issued, and for methods 1 and 3.
-- Returns: the user with exactly this e-mail address; else the one whose address differs in the case of ASCII letters alone, if there is
-- only one. The collation "C" keeps lower() from folding what the database's locale folds: U+0130 to i, the Kelvin sign to k.
--
-- The column is unique with regard to case, and Label Studio stores what POST /api/users was given, so two users may differ in case.
-- The scan without an index is a plan's branch that runs only where the exact address is not found.
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
