-- Used by: Hosts (src/postgres/hosts.rs), behind a connection pooler, at the beginning of each
-- transaction. Sets an option of the server until its end. The gate inserts name and value, which
-- come from the settings.
SELECT set_config('/* name */', '/* value */', true)
