-- Who: Recent (src/postgres/recent.rs), for a session of which it is remembered whose it was: session and user in one round trip.
-- Returns: the session's data, unless it has expired, and the user $3, NULL where there is none.
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
