-- Used by: doctor (src/doctor/database/mod.rs).
-- Returns: the data of recent sessions, whose signatures show whether Label Studio and the gate
-- have the same SECRET_KEY.
SELECT session_data
  FROM django_session
 WHERE expire_date > $1
 ORDER BY expire_date DESC
 LIMIT 20
