-- Used by: readiness and doctor (src/postgres/mod.rs).
-- Returns: the server's clock, which also proves that statements work.
SELECT clock_timestamp() AS now
