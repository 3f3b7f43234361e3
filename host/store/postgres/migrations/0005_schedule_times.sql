-- The times of schedules that got a run, and which.
CREATE TABLE schedule_times (
    schedule_id text COLLATE "C" NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    at          timestamptz      NOT NULL,
    tenant      text COLLATE "C" NOT NULL,
    run_id      text COLLATE "C" NOT NULL CHECK (run_id <> ''),
    PRIMARY KEY (schedule_id, at)
);
