-- Used by: SessionStore (src/postgres/logins.rs), before record_login.sql in the same
-- transaction.
-- Takes the locks of lock_place.sql for the places $1 as far as they are free, and waits for none.
-- What it got is in the setting label_studio_gate.places until the end of the transaction: numbers
-- from 1, separated by commas.
WITH wanted AS MATERIALIZED (
    SELECT n, pg_try_advisory_xact_lock(hashtextextended(place, 0)) AS is_mine
      FROM unnest($1::text[]) WITH ORDINALITY AS wanted (place, n)
)
SELECT set_config('label_studio_gate.places', coalesce(string_agg(n::text, ',') FILTER (WHERE is_mine), ''), true)
  FROM wanted
