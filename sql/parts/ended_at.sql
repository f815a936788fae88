-- When a session in a signed cookie with the mark of the login "wanted" last ended.
-- src/postgres/statement.rs inserts it for "/* ended at */" if the gate's own tables exist, and a
-- NULL otherwise.
(SELECT ended_session.ended_at FROM label_studio_gate.ended_session WHERE ended_session.mark = wanted.mark)
