CREATE TABLE schedules (
    id         TEXT    PRIMARY KEY CHECK (id <> ''),
    tenant     TEXT    NOT NULL CHECK (tenant <> ''),
    name       TEXT    NOT NULL CHECK (name <> ''),
    definition TEXT    NOT NULL CHECK (definition <> ''),
    inputs     TEXT    CHECK (inputs IS NULL OR json_valid(inputs)),
    cron       TEXT    NOT NULL,
    every      TEXT    NOT NULL,
    time_zone  TEXT    NOT NULL CHECK (time_zone <> ''),
    catch_up   TEXT    NOT NULL CHECK (catch_up IN ('skip', 'one', 'all')),
    overlap    TEXT    NOT NULL CHECK (overlap IN ('skip', 'queue', 'cancel')),
    jitter     TEXT    NOT NULL,
    paused     INTEGER NOT NULL CHECK (paused IN (0, 1)),
    next_at    INTEGER,
    due_at     INTEGER,
    last_at    INTEGER,
    last_run   TEXT    NOT NULL DEFAULT '',
    last_error TEXT    CHECK (last_error IS NULL OR json_valid(last_error)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version    INTEGER NOT NULL CHECK (version > 0),
    UNIQUE (tenant, name),
    CHECK ((cron = '') <> (every = '')),
    CHECK ((next_at IS NULL) = (due_at IS NULL)),
    CHECK (paused = 0 OR next_at IS NULL)
) STRICT;

CREATE INDEX schedules_due ON schedules (due_at) WHERE due_at IS NOT NULL;

-- Times that were claimed and whose run is to be accepted: one a schedule at most.
CREATE TABLE schedule_fires (
    schedule_id TEXT    PRIMARY KEY REFERENCES schedules (id) ON DELETE CASCADE,
    tenant      TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    run_id      TEXT    NOT NULL CHECK (run_id <> ''),
    plan_hash   TEXT    NOT NULL,
    workflow    TEXT    NOT NULL,
    by          TEXT    NOT NULL,
    claimed_at  INTEGER NOT NULL,
    FOREIGN KEY (tenant, plan_hash) REFERENCES plans (tenant, hash)
) STRICT;
