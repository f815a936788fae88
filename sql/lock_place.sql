-- Used by: SessionStore (src/postgres/logins.rs), before record_login_alone.sql in the
-- same transaction.
-- Takes a lock on $1, the prefix of a session's key, so that logins with the same prefix run one
-- after another. It is a statement of its own because each statement sees only what was committed
-- before it began.
SELECT pg_advisory_xact_lock(hashtextextended($1, 0))
