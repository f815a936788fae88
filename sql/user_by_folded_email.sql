-- Used by: UserDirectory (src/postgres/folded.rs), for an email address that no user has exactly.
-- Returns: the user whose address equals $1 once its ASCII letters are in lower case, if there is
-- only one. $1 is in lower case already. The collation "C" keeps lower() from folding what the
-- database's locale folds: U+0130 to i, the Kelvin sign to k.
--
-- The column is unique but case-sensitive, and Label Studio stores the address of POST /api/users
-- unchanged, so two addresses may differ only in case. Without the index of indexes.sql this scans
-- the table.
WITH found AS (
    SELECT min(id) AS id FROM htx_user WHERE lower(email COLLATE "C") = $1 HAVING count(*) = 1
)
/* the user found */
