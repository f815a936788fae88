-- Who: SessionStore (src/postgres/sessions.rs), for a sign-out and for the end of all sessions of a user.
DELETE FROM django_session
 WHERE session_key = ANY ($1)
