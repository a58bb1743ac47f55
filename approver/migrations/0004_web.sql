-- Logins of browsers, and tokens for tools.

-- How the login is presented. A browser's cookie is no bearer token and a bearer
-- token is no cookie: what protects the one is not asked of the other.
ALTER TABLE logins ADD COLUMN via TEXT NOT NULL DEFAULT 'token'
    CHECK (via IN ('token', 'cookie'));

-- Each lets a tool act as its person, with at most `role`.
CREATE TABLE api_tokens (
    id TEXT PRIMARY KEY NOT NULL,
    token_sha256 BLOB NOT NULL UNIQUE CHECK (length(token_sha256) = 32),
    username TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    name TEXT NOT NULL CHECK (name <> ''),
    role TEXT NOT NULL CHECK (role IN ('viewer', 'reviewer', 'administrator')),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX api_tokens_by_username ON api_tokens (username);
CREATE INDEX api_tokens_by_expiry ON api_tokens (expires_at);

-- What hosts say about themselves, for their page.
ALTER TABLE hosts ADD COLUMN not_enforcing_because TEXT NOT NULL DEFAULT '';

-- The policies a host decides by, from its last Hello.
CREATE TABLE host_policies (
    host_id TEXT NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    profile TEXT NOT NULL,
    owner TEXT NOT NULL,
    policy_sha256 BLOB NOT NULL,
    PRIMARY KEY (host_id, profile)
) STRICT, WITHOUT ROWID;
