-- Used by: UserDirectory (src/postgres/users.rs), to end the sessions of a user if sessions are
-- signed cookies.
-- Replaces the suffix of an unusable password. A usable password is left alone.
-- Returns: a row if the password was replaced.
UPDATE htx_user
   SET password = '!' || left(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 40)
 WHERE id = $1
   AND password LIKE '!%'
RETURNING id
