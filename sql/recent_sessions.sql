-- Who: doctor (src/doctor.rs).
-- Returns: sessions that Label Studio or the gate wrote, by which it can be told whether both have the same SECRET_KEY.
SELECT session_data
  FROM django_session
 WHERE expire_date > $1
 ORDER BY expire_date DESC
 LIMIT 20
