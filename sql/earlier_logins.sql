-- Used by: SessionStore (src/postgres/sessions.rs), for POST /api/sso/revoke, after revoke.sql.
-- A login that began before the revocation does not see it, and its session is not seen before it
-- commits. All gates log in with the same role, which sees its own transactions (PostgreSQL 15,
-- §28.2.3), unless an option of the connection (role) changes it.
-- Returns: the time, and whether a transaction of a gate is under way that began by $1, or by now if
-- $1 is NULL.
SELECT now() AS now,
       EXISTS (
           SELECT
             FROM pg_stat_activity
            WHERE usename = current_user
              AND datname = current_database()
              AND pid <> pg_backend_pid()
              AND xact_start <= coalesce($1::timestamptz, now())
       ) AS is_under_way
