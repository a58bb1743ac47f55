-- How far the Merkle log has come. The tiles and the newest checkpoint are files
-- in `log/` beside this database; what is here tells whether the two belong
-- together.

CREATE TABLE log_state (
    only_row INTEGER PRIMARY KEY NOT NULL CHECK (only_row = 0),
    -- Records below are in bundles on disk: their rows in `events` are no longer
    -- needed for the log.
    bundled INTEGER NOT NULL CHECK (bundled >= 0),
    -- The newest signed checkpoint, and how many records it is over.
    size INTEGER NOT NULL,
    checkpoint TEXT NOT NULL,
    signed_at INTEGER NOT NULL,
    CHECK (bundled <= size)
) STRICT;
