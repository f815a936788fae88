-- The gate's own tables, made by "label-studio-gate migrate". Twice is the same as once. Label Studio's tables are not touched.
CREATE SCHEMA IF NOT EXISTS label_studio_gate;

-- token.use = "once": which tokens have opened a session. The fingerprint is a SHA-256, the client's address is stored as one.
CREATE TABLE IF NOT EXISTS label_studio_gate.used_token (
    fingerprint bytea PRIMARY KEY,
    client bytea NOT NULL,
    used_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS used_token_expires_at ON label_studio_gate.used_token (expires_at);
