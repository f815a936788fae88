-- Used by: Hosts (src/postgres/hosts/greeting.rs), on every new connection.
-- Returns: whether the server accepts writes, and whether the options of the start have arrived,
-- which a connection pooler may drop. The gate inserts the time limit of statements.
SELECT current_setting('transaction_read_only') = 'off' AS is_writable,
       current_setting('statement_timeout')::interval = make_interval(secs => /* seconds */) AS has_options
