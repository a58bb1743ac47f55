-- Grants, flags, and what the same operation is known by.
--
-- SQLite can't alter a CHECK, so `requests` and `decisions` are made anew. The
-- decisions wait aside meanwhile: while they refer to `requests`, that table
-- can't be dropped.

CREATE TABLE decisions_aside AS SELECT * FROM decisions;
DROP TABLE decisions;

CREATE TABLE requests_new (
    -- Order of arrival: what lists are sorted and paged by.
    seq INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    -- Grows with every change of any request: what watchers follow.
    revision INTEGER NOT NULL UNIQUE,
    id TEXT NOT NULL UNIQUE,
    host_id TEXT NOT NULL REFERENCES hosts (id),
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    -- The same for the same operation, on any host and in any session. Empty if
    -- the context names none; NULL until the program has computed it, which it
    -- does for rows of before when it opens the database.
    operation_digest BLOB CHECK (length(operation_digest) IN (0, 32)),
    -- holdpoint.v1.RequestContext, as the host sent it.
    context BLOB NOT NULL,
    -- Copies from the context, to filter on.
    kind TEXT NOT NULL CHECK (kind IN ('exec', 'connect')),
    session_id TEXT NOT NULL,
    profile TEXT NOT NULL,
    owner TEXT NOT NULL,
    rule TEXT NOT NULL,
    -- What free text is looked for in, lower case.
    search TEXT NOT NULL DEFAULT '',
    held_at INTEGER,
    created_at INTEGER NOT NULL,
    deadline INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (
        state IN ('pending', 'approved', 'denied', 'flagged', 'expired', 'withdrawn')
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

INSERT INTO requests_new
    (seq, revision, id, host_id, digest, context, kind, session_id, profile, owner, rule,
     held_at, created_at, deadline, state, closed_at, outcome, outcome_detail, outcome_at)
SELECT
     seq, revision, id, host_id, digest, context, kind, session_id, profile, owner, rule,
     held_at, created_at, deadline, state, closed_at, outcome, outcome_detail, outcome_at
FROM requests;

DROP TABLE requests;
ALTER TABLE requests_new RENAME TO requests;

CREATE INDEX requests_by_state ON requests (state, seq);
CREATE INDEX requests_by_operation ON requests (operation_digest, seq);
CREATE INDEX requests_by_session ON requests (host_id, session_id, seq);
CREATE INDEX requests_pending_by_host ON requests (host_id) WHERE state = 'pending';
CREATE INDEX requests_pending_by_deadline ON requests (deadline) WHERE state = 'pending';
CREATE INDEX requests_without_digest ON requests (seq) WHERE operation_digest IS NULL;

-- What people answered. Never changed, never deleted.
CREATE TABLE decisions (
    request_id TEXT PRIMARY KEY NOT NULL REFERENCES requests (id),
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    verdict TEXT NOT NULL CHECK (verdict IN ('approve', 'deny', 'flag')),
    -- No reference: a decision outlives the account that made it.
    reviewer TEXT NOT NULL,
    reason TEXT NOT NULL CHECK (reason <> ''),
    decided_at INTEGER NOT NULL,
    -- Ed25519, see holdpoint_proto::decision.
    signature BLOB NOT NULL CHECK (length(signature) = 64),
    -- Chosen by the reviewer's tool: a call that comes twice is carried out once.
    idempotency_key TEXT,
    -- SHA-256 of everything else in that call.
    idempotency_sha256 BLOB CHECK (length(idempotency_sha256) = 32),
    CHECK ((idempotency_key IS NULL) = (idempotency_sha256 IS NULL))
) STRICT;

INSERT INTO decisions (request_id, digest, verdict, reviewer, reason, decided_at, signature)
SELECT request_id, digest, verdict, reviewer, reason, decided_at, signature
FROM decisions_aside;

DROP TABLE decisions_aside;

CREATE UNIQUE INDEX decisions_by_key ON decisions (reviewer, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- What approvals give beyond the operation that was held. The first part is as it
-- was signed with the decision and never changes.
CREATE TABLE grants (
    -- Order of issue: what lists are sorted and paged by.
    seq INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    request_id TEXT NOT NULL UNIQUE REFERENCES requests (id),
    scope TEXT NOT NULL CHECK (scope IN ('process', 'session')),
    ttl_ms INTEGER NOT NULL CHECK (ttl_ms > 0),
    expires_at INTEGER NOT NULL,
    -- 0: any number.
    max_uses INTEGER NOT NULL CHECK (max_uses >= 0),
    -- As far as the host has told.
    uses INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'active' CHECK (
        state IN ('active', 'ended', 'revoking', 'revoked')
    ),
    ended_at INTEGER,
    revoked_at INTEGER,
    revoked_by TEXT,
    revoke_reason TEXT,
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL)),
    CHECK ((revoked_at IS NULL) = (revoke_reason IS NULL)),
    CHECK (state NOT IN ('revoking', 'revoked') OR revoked_at IS NOT NULL)
) STRICT;

CREATE INDEX grants_open ON grants (expires_at) WHERE state IN ('active', 'revoking');

-- Operations that are refused everywhere.
CREATE TABLE flags (
    seq INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    operation_digest BLOB NOT NULL CHECK (length(operation_digest) = 32),
    -- The request whose decision set it.
    request_id TEXT NOT NULL UNIQUE REFERENCES requests (id),
    lifted_at INTEGER,
    lifted_by TEXT,
    lift_reason TEXT,
    CHECK ((lifted_at IS NULL) = (lifted_by IS NULL)),
    CHECK ((lifted_at IS NULL) = (lift_reason IS NULL))
) STRICT;

-- One in force for each operation.
CREATE UNIQUE INDEX flags_in_force ON flags (operation_digest) WHERE lifted_at IS NULL;
