-- The times of schedules that got a run, and which.
CREATE TABLE schedule_times (
    schedule_id TEXT    NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    at          INTEGER NOT NULL,
    tenant      TEXT    NOT NULL,
    run_id      TEXT    NOT NULL CHECK (run_id <> ''),
    PRIMARY KEY (schedule_id, at)
) STRICT, WITHOUT ROWID;
