-- What attempts at work have logged so far, in chunks that are only ever added. An
-- attempt's chunks are removed in the commit that stores its whole log; those of an
-- attempt that was lost with its host stay, until their run goes. They are few: the
-- table has no partitions.

CREATE TABLE live_logs (
    run_id   text COLLATE "C" NOT NULL,
    step     integer  NOT NULL CHECK (step >= 0),
    item     integer  NOT NULL CHECK (item >= 0),
    attempt  integer  NOT NULL CHECK (attempt > 0),
    chunk    integer  NOT NULL CHECK (chunk > 0),
    tenant   text COLLATE "C" NOT NULL,
    host_id  text COLLATE "C" NOT NULL, -- who wrote it
    encoding smallint NOT NULL CHECK (encoding IN (0, 1)), -- as in attempt_logs
    body     bytea    NOT NULL,
    PRIMARY KEY (run_id, step, item, attempt, chunk)
);
