-- Who: UserDirectory (src/postgres/users.rs), to end the sessions of a user where they are signed cookies.
-- Does: gives an unusable password another suffix; a password that somebody can use is left alone.
-- Returns: a row if it did.
UPDATE htx_user
   SET password = '!' || left(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 40)
 WHERE id = $1
   AND password LIKE '!%'
RETURNING id
