-- Used by: SessionStore (src/postgres/sessions.rs), for a sign-out, and for ending all sessions of
-- a user or of a provider.
-- Returns: what the deleted rows held, which says whose sessions they were.
DELETE FROM django_session
 WHERE session_key = ANY ($1)
RETURNING session_data
