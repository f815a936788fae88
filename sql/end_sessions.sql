-- Used by: SessionStore (src/postgres/sessions.rs), for a sign-out, and for ending all sessions of
-- a user.
DELETE FROM django_session
 WHERE session_key = ANY ($1)
