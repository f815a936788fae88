-- Who: readiness and doctor (src/postgres/mod.rs).
-- Returns: the server's clock, which proves that a statement goes through.
SELECT clock_timestamp() AS now
