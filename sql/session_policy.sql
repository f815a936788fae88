-- Used by: UserDirectory (src/postgres/users.rs), if Label Studio has the table (since 1.20).
-- Returns: after how many minutes Label Studio ends a session of the organization. No row: the
-- model's default.
SELECT max_session_age
  FROM session_policy_sessiontimeoutpolicy
 WHERE organization_id = $1
