-- Who: SessionStore (src/postgres/sessions.rs), before record_login.sql in the same transaction.
-- Does: lets one login at a time into the place $1, which a session's key begins with. A statement of its own, because each sees what was
-- committed before it began.
SELECT pg_advisory_xact_lock(hashtextextended($1, 0))
