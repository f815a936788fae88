-- Used by: Recent (src/postgres/recent.rs), for a session whose owner is remembered, to read
-- session and user in one round trip.
-- Returns: the data of the session, unless it has expired, and the user $3, or NULL if there is no
-- such user.
WITH found AS (
    SELECT $3::integer AS id
), owner AS (
/* the user found */
)
SELECT session.session_data,
       owner.*
  FROM django_session AS session
  LEFT JOIN owner ON true
 WHERE session.session_key = $1
   AND session.expire_date > $2
