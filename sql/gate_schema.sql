-- Used by: "label-studio-gate migrate", to create the gate's own tables. It is idempotent and does
-- not touch Label Studio's tables.
CREATE SCHEMA IF NOT EXISTS label_studio_gate;

-- token.use = "once": the tokens that have opened a session. The fingerprint and the peer's address
-- (client) are stored as SHA-256.
CREATE TABLE IF NOT EXISTS label_studio_gate.used_token (
    fingerprint bytea PRIMARY KEY,
    client bytea NOT NULL,
    used_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS used_token_expires_at ON label_studio_gate.used_token (expires_at);

-- The time up to which the tokens and sessions of a user are revoked (POST /api/sso/revoke).
CREATE TABLE IF NOT EXISTS label_studio_gate.revocation (
    user_id integer PRIMARY KEY,
    revoked_at timestamptz NOT NULL
);

-- Ended sessions that were signed cookies, by a SHA-256 of what identifies a session.
CREATE TABLE IF NOT EXISTS label_studio_gate.ended_session (
    mark bytea PRIMARY KEY,
    ended_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS ended_session_expires_at ON label_studio_gate.ended_session (expires_at);

-- audit.table: who did what. docs/log.md describes the events and columns.
CREATE TABLE IF NOT EXISTS label_studio_gate.audit (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    event text NOT NULL,
    request_id text NOT NULL,
    peer inet NOT NULL,
    method text,
    user_id integer,
    identity text,
    caller_id integer,
    reason text,
    path text
);
ALTER TABLE label_studio_gate.audit ADD COLUMN IF NOT EXISTS provider text;
CREATE INDEX IF NOT EXISTS audit_at ON label_studio_gate.audit (at);
CREATE INDEX IF NOT EXISTS audit_user_id ON label_studio_gate.audit (user_id, at);
