-- When a session in a signed cookie with the mark $5 last ended. src/postgres/statement.rs inserts it
-- for "/* ended at */" if the gate's own tables exist, and otherwise a NULL that uses $5 too.
(SELECT ended_session.ended_at FROM label_studio_gate.ended_session WHERE ended_session.mark = $5::bytea)
