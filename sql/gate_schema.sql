-- The gate's own tables, made by "label-studio-gate migrate". Twice is the same as once. Label Studio's tables are not touched.
CREATE SCHEMA IF NOT EXISTS label_studio_gate;

-- token.use = "once": which tokens have opened a session. The fingerprint is a SHA-256, the peer's address is stored as one.
CREATE TABLE IF NOT EXISTS label_studio_gate.used_token (
    fingerprint bytea PRIMARY KEY,
    client bytea NOT NULL,
    used_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS used_token_expires_at ON label_studio_gate.used_token (expires_at);

-- Up to when what was issued to a user, tokens and sessions, is revoked (POST /api/sso/revoke).
CREATE TABLE IF NOT EXISTS label_studio_gate.revocation (
    user_id integer PRIMARY KEY,
    revoked_at timestamptz NOT NULL
);

-- Sessions that were signed cookies and have ended, by a SHA-256 of what tells one from another.
CREATE TABLE IF NOT EXISTS label_studio_gate.ended_session (
    mark bytea PRIMARY KEY,
    ended_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS ended_session_expires_at ON label_studio_gate.ended_session (expires_at);
