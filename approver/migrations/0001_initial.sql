-- The approver's state. Times are milliseconds since the epoch, UTC.
--
-- A migration that has been released is never edited: a change is a new file.

-- Machines that run holdpointd.
CREATE TABLE hosts (
    id TEXT PRIMARY KEY NOT NULL,
    hostname TEXT NOT NULL,
    -- Serial number of the only certificate that speaks for this host.
    certificate_serial TEXT NOT NULL,
    certificate_expires_at INTEGER NOT NULL,
    enrolled_at INTEGER NOT NULL,
    revoked_at INTEGER,
    -- From the last Hello.
    last_seen_at INTEGER,
    version TEXT NOT NULL DEFAULT '',
    kernel_release TEXT NOT NULL DEFAULT '',
    boot_id TEXT NOT NULL DEFAULT '',
    enforcing INTEGER NOT NULL DEFAULT 0 CHECK (enforcing IN (0, 1))
) STRICT;

-- Each lets one host enrol, once.
CREATE TABLE enrolment_tokens (
    id TEXT PRIMARY KEY NOT NULL,
    secret_sha256 BLOB NOT NULL UNIQUE CHECK (length(secret_sha256) = 32),
    label TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER,
    host_id TEXT REFERENCES hosts (id),
    CHECK ((used_at IS NULL) = (host_id IS NULL))
) STRICT;

-- People.
CREATE TABLE users (
    name TEXT PRIMARY KEY NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('viewer', 'reviewer', 'administrator')),
    -- PHC string, argon2id.
    password_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE logins (
    token_sha256 BLOB PRIMARY KEY NOT NULL CHECK (length(token_sha256) = 32),
    username TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX logins_by_username ON logins (username);
CREATE INDEX logins_by_expiry ON logins (expires_at);

-- What people are asked.
CREATE TABLE requests (
    -- Order of arrival: what lists are sorted and paged by.
    seq INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    -- Grows with every change of any request: what watchers follow.
    revision INTEGER NOT NULL UNIQUE,
    id TEXT NOT NULL UNIQUE,
    host_id TEXT NOT NULL REFERENCES hosts (id),
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    -- holdpoint.v1.RequestContext, as the host sent it.
    context BLOB NOT NULL,
    -- Copies from the context, to filter on.
    kind TEXT NOT NULL CHECK (kind IN ('exec', 'connect')),
    session_id TEXT NOT NULL,
    profile TEXT NOT NULL,
    owner TEXT NOT NULL,
    rule TEXT NOT NULL,
    held_at INTEGER,
    created_at INTEGER NOT NULL,
    deadline INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (
        state IN ('pending', 'approved', 'denied', 'expired', 'withdrawn')
    ),
    -- When it stopped being pending.
    closed_at INTEGER,
    -- What the host did: apart from the state, which is what was decided.
    outcome TEXT CHECK (outcome IN ('released', 'refused', 'gone')),
    outcome_detail TEXT NOT NULL DEFAULT '',
    outcome_at INTEGER,
    CHECK ((state = 'pending') = (closed_at IS NULL)),
    CHECK ((outcome IS NULL) = (outcome_at IS NULL))
) STRICT;

CREATE INDEX requests_by_state ON requests (state, seq);
CREATE INDEX requests_pending_by_host ON requests (host_id) WHERE state = 'pending';
CREATE INDEX requests_pending_by_deadline ON requests (deadline) WHERE state = 'pending';

-- What people answered. Never changed, never deleted.
CREATE TABLE decisions (
    request_id TEXT PRIMARY KEY NOT NULL REFERENCES requests (id),
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    verdict TEXT NOT NULL CHECK (verdict IN ('approve', 'deny')),
    -- No reference: a decision outlives the account that made it.
    reviewer TEXT NOT NULL,
    reason TEXT NOT NULL CHECK (reason <> ''),
    decided_at INTEGER NOT NULL,
    -- Ed25519, see holdpoint_proto::decision.
    signature BLOB NOT NULL CHECK (length(signature) = 64)
) STRICT;
