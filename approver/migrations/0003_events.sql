-- What happened, in the order it reached the approver: the leaves of the log.

-- `record` is one OCSF JSON object and never changes. A row is deleted only when
-- it is in the Merkle log on disk and in Parquet.
CREATE TABLE events (
    -- Dense from 0.
    log_index INTEGER PRIMARY KEY NOT NULL CHECK (log_index >= 0),
    -- When it happened, by the clock of whoever tells.
    at INTEGER NOT NULL,
    -- NULL: the approver tells of something that is not about one host.
    host_id TEXT,
    -- Where a host's own event comes from.
    spool_id BLOB,
    sequence INTEGER,
    record BLOB NOT NULL,
    CHECK ((spool_id IS NULL) = (sequence IS NULL))
) STRICT;

CREATE UNIQUE INDEX events_once ON events (host_id, spool_id, sequence)
    WHERE spool_id IS NOT NULL;

-- The one row of what outlives the rows of `events`.
CREATE TABLE event_marks (
    only_row INTEGER PRIMARY KEY NOT NULL CHECK (only_row = 0),
    -- What the next record is numbered.
    next_index INTEGER NOT NULL,
    -- Everything below is in Parquet.
    kept_below INTEGER NOT NULL,
    CHECK (kept_below <= next_index)
) STRICT;

INSERT INTO event_marks (only_row, next_index, kept_below) VALUES (0, 0, 0);

-- How much of each host's spools is stored.
CREATE TABLE spools (
    host_id TEXT NOT NULL REFERENCES hosts (id),
    spool_id BLOB NOT NULL CHECK (length(spool_id) = 16),
    opened_at INTEGER NOT NULL,
    -- Everything up to here is stored or declared missing.
    last_sequence INTEGER NOT NULL,
    -- Gap records of this spool, its own and the approver's.
    gaps INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (host_id, spool_id)
) STRICT;

-- Tracked process trees, as their hosts' events tell of them.
CREATE TABLE sessions (
    -- Order of arrival: what lists are sorted and paged by.
    seq INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    host_id TEXT NOT NULL REFERENCES hosts (id),
    id TEXT NOT NULL,
    profile TEXT NOT NULL,
    owner TEXT NOT NULL,
    user TEXT NOT NULL,
    uid INTEGER NOT NULL,
    -- Of its first event, if its begin was not told.
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    last_seen_at INTEGER NOT NULL,
    -- Rows of session_processes: what one session can make us keep is bounded.
    processes INTEGER NOT NULL DEFAULT 0,
    UNIQUE (host_id, id)
) STRICT;

CREATE TABLE session_processes (
    host_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    pid INTEGER NOT NULL,
    -- Nanoseconds since boot.
    start_time_ns INTEGER NOT NULL,
    parent_pid INTEGER,
    parent_start_time_ns INTEGER,
    executable BLOB NOT NULL,
    -- holdpoint.v1.Process with nothing but its argv.
    argv BLOB NOT NULL,
    uid INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (host_id, session_id, pid, start_time_ns),
    FOREIGN KEY (host_id, session_id) REFERENCES sessions (host_id, id) ON DELETE CASCADE,
    CHECK ((parent_pid IS NULL) = (parent_start_time_ns IS NULL))
) STRICT, WITHOUT ROWID;
