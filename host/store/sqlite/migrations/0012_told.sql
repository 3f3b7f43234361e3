-- Approvals are decided, events are sent to runs, unknown items are resolved.
-- SQLite changes a CHECK by making the table anew.
CREATE TABLE commands_2 (
    number INTEGER PRIMARY KEY AUTOINCREMENT, -- the order in which they came
    id     TEXT    NOT NULL UNIQUE CHECK (id <> ''),
    tenant TEXT    NOT NULL,
    shard  INTEGER NOT NULL,
    run_id TEXT    NOT NULL REFERENCES runs (id),
    kind   TEXT    NOT NULL CHECK (kind IN ('cancel_asked', 'pause_asked', 'resume_asked', 'decision_given', 'event_received', 'item_resolved')),
    step   INTEGER NOT NULL DEFAULT 0 CHECK (step >= 0),
    item   INTEGER NOT NULL DEFAULT 0 CHECK (item >= 0),
    told   TEXT    CHECK (told IS NULL OR json_valid(told)),
    by     TEXT    NOT NULL,
    reason TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    CHECK ((told IS NULL) = (kind IN ('cancel_asked', 'pause_asked', 'resume_asked')))
) STRICT;

INSERT INTO commands_2 (number, id, tenant, shard, run_id, kind, by, reason, at)
    SELECT number, id, tenant, shard, run_id, kind, by, reason, at FROM commands;

DROP TABLE commands;

ALTER TABLE commands_2 RENAME TO commands;

CREATE INDEX commands_by_shard ON commands (shard, number);

-- What items ask somebody to decide: the leader writes it with the facts.
CREATE TABLE approvals (
    run_id       TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    step         INTEGER NOT NULL CHECK (step >= 0),
    item         INTEGER NOT NULL CHECK (item >= 0),
    tenant       TEXT    NOT NULL CHECK (tenant <> ''),
    step_id      TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('pending', 'approved', 'rejected', 'expired', 'cancelled')),
    message      TEXT    NOT NULL,
    requested_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    by           TEXT    NOT NULL,
    reason       TEXT    NOT NULL,
    decided_at   INTEGER,
    PRIMARY KEY (run_id, step, item),
    CHECK ((decided_at IS NOT NULL) = (state IN ('approved', 'rejected')))
) STRICT, WITHOUT ROWID;

CREATE INDEX approvals_by_tenant ON approvals (tenant, run_id, step, item);
CREATE INDEX approvals_by_state ON approvals (tenant, state, run_id, step, item);
