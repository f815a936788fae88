-- Who: SessionStore (src/postgres/sessions.rs), for a login with the session engine "db".
-- Does, all or nothing: looks at the user's row once more, inserts the session, sets last_login, deletes the session that ends.
-- Returns: whether the user's row is still the one that the session was made for.
--
-- Many requests may bring the same token at once: the session's key is the same for each. The first inserts the row; the others find it,
-- lock nothing and write nothing. A row that has expired is renewed.
-- For "absent" see user_by_id.sql.
WITH account AS (
    SELECT current.id
      FROM (VALUES (false)) AS absent (is_deleted)
     CROSS JOIN LATERAL (
               SELECT id
                 FROM htx_user
                WHERE id = $1 AND password = $2 AND is_active AND NOT is_deleted
           ) AS current
), opened AS (
    INSERT INTO django_session AS existing (session_key, session_data, expire_date)
    SELECT $4::varchar, $5::text, $6::timestamptz
      FROM account
     WHERE NOT EXISTS (SELECT FROM django_session WHERE session_key = $4 AND expire_date > $3)
        ON CONFLICT (session_key) DO UPDATE
       SET session_data = EXCLUDED.session_data, expire_date = EXCLUDED.expire_date
     WHERE existing.expire_date <= $3
    RETURNING session_key
), recorded AS (
    UPDATE htx_user
       SET last_login = $3
     WHERE id = $1
       AND EXISTS (SELECT FROM opened)
), ended AS (
    DELETE FROM django_session
     WHERE session_key = $7
       AND EXISTS (SELECT FROM account)
)
SELECT EXISTS (SELECT FROM account) AS unchanged
