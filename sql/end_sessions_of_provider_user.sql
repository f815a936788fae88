-- Used by: SessionStore (src/postgres/sessions.rs), when an OpenID provider says that all sessions
-- of a user ended.
-- Deletes the sessions in whose keys the text that is derived from the user ($1) is the second half
-- of the place. No index has it: a scan, without decoding a session.
DELETE FROM django_session
 WHERE substr(session_key, 9, 8) = $1
RETURNING session_key
