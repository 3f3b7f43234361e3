-- Runs can be paused and resumed. SQLite changes a CHECK by making the table anew.
CREATE TABLE commands_2 (
    number INTEGER PRIMARY KEY AUTOINCREMENT, -- the order in which they came
    id     TEXT    NOT NULL UNIQUE CHECK (id <> ''),
    tenant TEXT    NOT NULL,
    shard  INTEGER NOT NULL,
    run_id TEXT    NOT NULL REFERENCES runs (id),
    kind   TEXT    NOT NULL CHECK (kind IN ('cancel_asked', 'pause_asked', 'resume_asked')),
    by     TEXT    NOT NULL,
    reason TEXT    NOT NULL,
    at     INTEGER NOT NULL
) STRICT;

INSERT INTO commands_2 (number, id, tenant, shard, run_id, kind, by, reason, at)
    SELECT number, id, tenant, shard, run_id, kind, by, reason, at FROM commands;

DROP TABLE commands;

ALTER TABLE commands_2 RENAME TO commands;

CREATE INDEX commands_by_shard ON commands (shard, number);
