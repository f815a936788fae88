-- Whether this row of htx_user is still the one that the login "wanted" was made for, and its user may
-- sign in. src/postgres/statement.rs inserts it for "/* the user of the login */". "absent" supplies
-- is_deleted where the table has no such column (see user.sql).
id = wanted.user_id AND password = wanted.password AND is_active AND NOT is_deleted
