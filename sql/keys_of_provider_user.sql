-- Used by: SessionStore (src/postgres/sessions.rs), when an OpenID provider says that all sessions
-- of a user ended.
-- Reads 50,000 keys after $2, none of them decoded. No index has the second half of the place, but the
-- keys are in the index of the primary key, and a page of them is far below the time limit of
-- statements.
-- Returns: the keys in which the text that is derived from the user ($1) is that half, and the last key
-- of the page; NULL if there is none.
WITH page AS MATERIALIZED (
    SELECT session_key
      FROM django_session
     WHERE session_key > $2
     ORDER BY session_key
     LIMIT 50000
)
SELECT coalesce(array_agg(session_key) FILTER (WHERE substr(session_key, 9, 8) = $1), '{}')::text[] AS found,
       max(session_key)::text AS last
  FROM page
