-- Times are microseconds since 1970 UTC, NULL for none. Identifiers are text.

CREATE TABLE shards (
    shard        INTEGER PRIMARY KEY CHECK (shard >= 0),
    seq          INTEGER NOT NULL DEFAULT 0 CHECK (seq >= 0),          -- the last number given out
    leader       TEXT    NOT NULL DEFAULT '',
    leader_epoch INTEGER NOT NULL DEFAULT 0 CHECK (leader_epoch >= 0),
    leader_until INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO shards (shard) VALUES (0);

CREATE TABLE hosts (
    id        TEXT    PRIMARY KEY CHECK (id <> ''),
    name      TEXT    NOT NULL,
    epoch     INTEGER NOT NULL CHECK (epoch > 0),
    version   TEXT    NOT NULL,
    slots     INTEGER NOT NULL CHECK (slots >= 0),
    heartbeat INTEGER NOT NULL
) STRICT;

CREATE TABLE plans (
    tenant     TEXT    NOT NULL CHECK (tenant <> ''),
    hash       TEXT    NOT NULL CHECK (length(hash) = 64),
    body       BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, hash)
) STRICT;

CREATE TABLE runs (
    id           TEXT    PRIMARY KEY CHECK (id <> ''),
    tenant       TEXT    NOT NULL CHECK (tenant <> ''),
    shard        INTEGER NOT NULL REFERENCES shards (shard),
    workflow     TEXT    NOT NULL,
    plan_hash    TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN (
        'awaiting_approval', 'queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled', 'rejected')),
    error        TEXT    CHECK (error IS NULL OR json_valid(error)),
    submitted_by TEXT    NOT NULL,
    day          INTEGER NOT NULL, -- of created_at, in days since 1970: what retention removes by
    created_at   INTEGER NOT NULL,
    started_at   INTEGER,
    ended_at     INTEGER,
    seq          INTEGER NOT NULL CHECK (seq > 0),
    FOREIGN KEY (tenant, plan_hash) REFERENCES plans (tenant, hash),
    CHECK ((ended_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled', 'rejected')))
) STRICT;

CREATE INDEX runs_by_tenant ON runs (tenant, id);
CREATE INDEX runs_by_state ON runs (tenant, state, id);
CREATE INDEX runs_open ON runs (shard, id) WHERE state IN ('awaiting_approval', 'queued', 'running', 'paused');

-- automation.RunTransitions; a test walks every pair of states.
CREATE TRIGGER runs_transition BEFORE UPDATE OF state ON runs
WHEN OLD.state <> NEW.state AND OLD.state || '>' || NEW.state NOT IN (
    'awaiting_approval>queued', 'awaiting_approval>rejected', 'awaiting_approval>cancelled',
    'queued>running', 'queued>paused', 'queued>succeeded', 'queued>failed', 'queued>cancelled',
    'running>paused', 'running>succeeded', 'running>failed', 'running>cancelled',
    'paused>running', 'paused>queued', 'paused>failed', 'paused>succeeded', 'paused>cancelled')
BEGIN
    SELECT RAISE(ABORT, 'no such transition of a run');
END;

-- No foreign key to runs: the commit that adds entries raises their runs' seq,
-- and fails when a run is not there, which costs less.
CREATE TABLE entries (
    shard  INTEGER NOT NULL,
    seq    INTEGER NOT NULL CHECK (seq > 0),
    run_id TEXT    NOT NULL,
    source INTEGER NOT NULL CHECK (source IN (0, 1)), -- 0: the leader, 1: an acceptor
    body   BLOB    NOT NULL,                          -- the facts, a JSON array
    PRIMARY KEY (shard, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX entries_by_run ON entries (run_id, seq);
CREATE INDEX entries_accepted ON entries (shard, seq) WHERE source = 1;

CREATE TABLE commands (
    number INTEGER PRIMARY KEY AUTOINCREMENT, -- the order in which they came
    id     TEXT    NOT NULL UNIQUE CHECK (id <> ''),
    tenant TEXT    NOT NULL,
    shard  INTEGER NOT NULL,
    run_id TEXT    NOT NULL REFERENCES runs (id),
    kind   TEXT    NOT NULL CHECK (kind IN ('cancel_asked')),
    by     TEXT    NOT NULL,
    reason TEXT    NOT NULL,
    at     INTEGER NOT NULL
) STRICT;

CREATE INDEX commands_by_shard ON commands (shard, number);

CREATE TABLE attempt_logs (
    run_id   TEXT    NOT NULL,
    step     INTEGER NOT NULL CHECK (step >= 0),
    item     INTEGER NOT NULL CHECK (item >= 0),
    attempt  INTEGER NOT NULL CHECK (attempt > 0),
    tenant   TEXT    NOT NULL,
    encoding INTEGER NOT NULL CHECK (encoding IN (0, 1)), -- 0: JSON lines in an array, 1: the same by gzip
    body     BLOB    NOT NULL,
    PRIMARY KEY (run_id, step, item, attempt)
) STRICT;

CREATE TABLE credentials (
    id         TEXT    PRIMARY KEY CHECK (id <> ''),
    tenant     TEXT    NOT NULL CHECK (tenant <> ''),
    name       TEXT    NOT NULL CHECK (name <> ''),
    kind       TEXT    NOT NULL CHECK (kind IN ('password', 'ssh_key')),
    username   TEXT    NOT NULL,
    scope      TEXT    NOT NULL CHECK (json_valid(scope)),
    sealed     BLOB    NOT NULL CHECK (length(sealed) > 0),
    key_id     TEXT    NOT NULL CHECK (key_id <> ''),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version    INTEGER NOT NULL CHECK (version > 0),
    UNIQUE (tenant, name),
    UNIQUE (tenant, id)
) STRICT;

CREATE TABLE assets (
    id            TEXT    PRIMARY KEY CHECK (id <> ''),
    tenant        TEXT    NOT NULL CHECK (tenant <> ''),
    name          TEXT    NOT NULL CHECK (name <> ''),
    address       TEXT    NOT NULL,
    port          INTEGER NOT NULL CHECK (port BETWEEN 0 AND 65535),
    protocol      TEXT    NOT NULL CHECK (protocol IN ('ssh', 'winrm', 'none')),
    os            TEXT    NOT NULL,
    tags          TEXT    NOT NULL CHECK (json_valid(tags)),
    vars          TEXT    NOT NULL CHECK (json_valid(vars)),
    host_keys     TEXT    NOT NULL CHECK (json_valid(host_keys)),
    credential_id TEXT,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    version       INTEGER NOT NULL CHECK (version > 0),
    UNIQUE (tenant, name),
    FOREIGN KEY (tenant, credential_id) REFERENCES credentials (tenant, id)
) STRICT;

CREATE INDEX assets_by_credential ON assets (tenant, credential_id) WHERE credential_id IS NOT NULL;

CREATE TABLE artifacts (
    tenant TEXT NOT NULL CHECK (tenant <> ''),
    digest TEXT NOT NULL CHECK (length(digest) = 64),
    body   BLOB NOT NULL,
    PRIMARY KEY (tenant, digest)
) STRICT;

CREATE TABLE plugins (
    id          TEXT    PRIMARY KEY CHECK (id <> ''),
    tenant      TEXT    NOT NULL,
    name        TEXT    NOT NULL CHECK (name <> ''),
    version     TEXT    NOT NULL CHECK (version <> ''),
    digest      TEXT    NOT NULL,
    size        INTEGER NOT NULL CHECK (size >= 0),
    state       TEXT    NOT NULL CHECK (state IN ('vetted', 'active', 'disabled')),
    manifest    TEXT    NOT NULL CHECK (json_valid(manifest)),
    grants      TEXT    NOT NULL CHECK (json_valid(grants)),
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    row_version INTEGER NOT NULL CHECK (row_version > 0),
    UNIQUE (tenant, name, version),
    UNIQUE (tenant, digest),
    FOREIGN KEY (tenant, digest) REFERENCES artifacts (tenant, digest)
) STRICT;

CREATE TABLE tokens (
    id         TEXT    PRIMARY KEY CHECK (id <> ''),
    tenant     TEXT    NOT NULL CHECK (tenant <> ''),
    name       TEXT    NOT NULL CHECK (name <> ''),
    role       TEXT    NOT NULL CHECK (role IN ('admin', 'submitter')),
    hash       BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT;

CREATE INDEX tokens_by_tenant ON tokens (tenant, id);

CREATE TABLE idempotency (
    tenant  TEXT    NOT NULL,
    by      TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    key     TEXT    NOT NULL CHECK (key <> ''),
    request TEXT    NOT NULL,
    object  TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (tenant, by, action, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    tenant   TEXT    NOT NULL,
    seq      INTEGER NOT NULL CHECK (seq > 0),
    at       INTEGER NOT NULL,
    by       TEXT    NOT NULL,
    action   TEXT    NOT NULL,
    object   TEXT    NOT NULL,
    detail   TEXT    CHECK (detail IS NULL OR json_valid(detail)),
    previous BLOB    CHECK ((previous IS NULL) = (seq = 1)),
    hash     BLOB    NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (tenant, seq)
) STRICT, WITHOUT ROWID;

-- The newest entry of each tenant, so that an end that was cut off is found too.
CREATE TABLE audit_heads (
    tenant TEXT    PRIMARY KEY,
    seq    INTEGER NOT NULL CHECK (seq > 0),
    hash   BLOB    NOT NULL
) STRICT;
