-- Used by: SessionStore (src/postgres/sessions.rs), when an OpenID provider says that one of its
-- sessions ended.
-- Returns: the sessions whose keys begin with the text that is derived from it ($1; $2 sorts after
-- every such key). The index on session_key with varchar_pattern_ops, which Django makes, finds them.
SELECT session_key
  FROM django_session
 WHERE session_key ~>=~ $1
   AND session_key ~<~ $2
