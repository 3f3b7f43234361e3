-- What attempts at work have logged so far, in chunks that are only ever added. An
-- attempt's chunks are removed in the commit that stores its whole log; those of an
-- attempt that was lost with its host stay.

CREATE TABLE live_logs (
    run_id   TEXT    NOT NULL,
    step     INTEGER NOT NULL CHECK (step >= 0),
    item     INTEGER NOT NULL CHECK (item >= 0),
    attempt  INTEGER NOT NULL CHECK (attempt > 0),
    chunk    INTEGER NOT NULL CHECK (chunk > 0),
    tenant   TEXT    NOT NULL,
    host_id  TEXT    NOT NULL, -- who wrote it
    encoding INTEGER NOT NULL CHECK (encoding IN (0, 1)), -- as in attempt_logs
    body     BLOB    NOT NULL,
    PRIMARY KEY (run_id, step, item, attempt, chunk)
) STRICT;
