-- Used by: purge (src/postgres/purge.rs).
-- Deletes a batch of expired sessions, unless another gate is deleting: the lock lasts as long as
-- the statement. Label Studio never deletes expired sessions, and with sessions in the database it
-- creates one for each request without a cookie.
-- Returns: the number of deleted sessions, or NULL if another gate is deleting.
WITH turn AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock(hashtext('label-studio-gate purge')) AS ours
), expired AS (
    SELECT session_key
      FROM django_session
     WHERE expire_date < now()
       AND (SELECT ours FROM turn)
     LIMIT 1000
       FOR UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM django_session
     WHERE session_key IN (SELECT session_key FROM expired)
    RETURNING 1
)
SELECT CASE WHEN turn.ours THEN (SELECT count(*) FROM deleted) END AS deleted
  FROM turn
