-- Whether the login "wanted" writes last_login. src/postgres/statement.rs inserts it for
-- "/* last_login is due */".
(last_login IS NULL OR last_login < wanted.at - interval '10 seconds')
