-- A schedule may allow its runs to overlap; queue now means one after the other, and
-- schedules that have it keep what it meant. SQLite changes a CHECK by making the
-- table anew; what refers to it steps aside first.
CREATE TEMP TABLE kept_fires AS SELECT schedule_id, tenant, at, run_id, plan_hash, workflow, by, claimed_at FROM schedule_fires;

CREATE TEMP TABLE kept_times AS SELECT schedule_id, at, tenant, run_id FROM schedule_times;

DROP TABLE schedule_fires;

DROP TABLE schedule_times;

CREATE TABLE schedules_2 (
    id         TEXT    PRIMARY KEY CHECK (id <> ''),
    tenant     TEXT    NOT NULL CHECK (tenant <> ''),
    name       TEXT    NOT NULL CHECK (name <> ''),
    definition TEXT    NOT NULL CHECK (definition <> ''),
    inputs     TEXT    CHECK (inputs IS NULL OR json_valid(inputs)),
    cron       TEXT    NOT NULL,
    every      TEXT    NOT NULL,
    time_zone  TEXT    NOT NULL CHECK (time_zone <> ''),
    catch_up   TEXT    NOT NULL CHECK (catch_up IN ('skip', 'one', 'all')),
    overlap    TEXT    NOT NULL CHECK (overlap IN ('skip', 'queue', 'allow', 'cancel')),
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

INSERT INTO schedules_2 (id, tenant, name, definition, inputs, cron, every, time_zone, catch_up, overlap, jitter, paused,
    next_at, due_at, last_at, last_run, last_error, created_at, updated_at, version)
    SELECT id, tenant, name, definition, inputs, cron, every, time_zone, catch_up, CASE overlap WHEN 'queue' THEN 'allow' ELSE overlap END, jitter, paused,
    next_at, due_at, last_at, last_run, last_error, created_at, updated_at, version FROM schedules;

DROP TABLE schedules;

ALTER TABLE schedules_2 RENAME TO schedules;

CREATE INDEX schedules_due ON schedules (due_at) WHERE due_at IS NOT NULL;

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

CREATE TABLE schedule_times (
    schedule_id TEXT    NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    at          INTEGER NOT NULL,
    tenant      TEXT    NOT NULL,
    run_id      TEXT    NOT NULL CHECK (run_id <> ''),
    PRIMARY KEY (schedule_id, at)
) STRICT, WITHOUT ROWID;

INSERT INTO schedule_fires (schedule_id, tenant, at, run_id, plan_hash, workflow, by, claimed_at) SELECT schedule_id, tenant, at, run_id, plan_hash, workflow, by, claimed_at FROM kept_fires;

INSERT INTO schedule_times (schedule_id, at, tenant, run_id) SELECT schedule_id, at, tenant, run_id FROM kept_times;

DROP TABLE kept_fires;

DROP TABLE kept_times;
