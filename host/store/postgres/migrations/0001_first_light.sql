-- Identifiers and names are text in byte order (COLLATE "C"), as in the SQLite store.

CREATE TABLE shards (
    shard        integer     PRIMARY KEY CHECK (shard >= 0),
    seq          bigint      NOT NULL DEFAULT 0 CHECK (seq >= 0),          -- the last number given out
    leader       text        NOT NULL DEFAULT '',
    leader_epoch bigint      NOT NULL DEFAULT 0 CHECK (leader_epoch >= 0),
    leader_until timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 10); -- one row that every commit changes: leave it room on its page

INSERT INTO shards (shard) VALUES (0);

CREATE TABLE hosts (
    id        text COLLATE "C" PRIMARY KEY CHECK (id <> ''),
    name      text        NOT NULL,
    epoch     bigint      NOT NULL CHECK (epoch > 0),
    version   text        NOT NULL,
    slots     integer     NOT NULL CHECK (slots >= 0),
    heartbeat timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE plans (
    tenant     text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    hash       text COLLATE "C" NOT NULL CHECK (length(hash) = 64),
    body       bytea       NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, hash)
);

CREATE TABLE runs (
    id           text COLLATE "C" PRIMARY KEY CHECK (id <> ''),
    tenant       text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    shard        integer     NOT NULL CHECK (shard >= 0),
    workflow     text        NOT NULL,
    plan_hash    text COLLATE "C" NOT NULL,
    state        text COLLATE "C" NOT NULL CHECK (state IN (
        'awaiting_approval', 'queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled', 'rejected')),
    error        json,
    submitted_by text        NOT NULL,
    day          date        NOT NULL, -- of created_at, in UTC: what retention removes by
    created_at   timestamptz NOT NULL,
    started_at   timestamptz,
    ended_at     timestamptz,
    seq          bigint      NOT NULL CHECK (seq > 0),
    FOREIGN KEY (tenant, plan_hash) REFERENCES plans (tenant, hash),
    CHECK ((ended_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled', 'rejected')))
) WITH (fillfactor = 70);

CREATE INDEX runs_by_tenant ON runs (tenant, id);
CREATE INDEX runs_by_state ON runs (tenant, state, id);
CREATE INDEX runs_open ON runs (shard, id) WHERE state IN ('awaiting_approval', 'queued', 'running', 'paused');

CREATE FUNCTION refuse_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'OC003', MESSAGE = 'no such transition of a run: ' || OLD.state || ' to ' || NEW.state;
END $$;

-- automation.RunTransitions; a test walks every pair of states.
CREATE TRIGGER runs_transition BEFORE UPDATE OF state ON runs FOR EACH ROW
WHEN (OLD.state <> NEW.state AND OLD.state || '>' || NEW.state NOT IN (
    'awaiting_approval>queued', 'awaiting_approval>rejected', 'awaiting_approval>cancelled',
    'queued>running', 'queued>paused', 'queued>succeeded', 'queued>failed', 'queued>cancelled',
    'running>paused', 'running>succeeded', 'running>failed', 'running>cancelled',
    'paused>running', 'paused>queued', 'paused>failed', 'paused>succeeded', 'paused>cancelled'))
EXECUTE FUNCTION refuse_transition();

-- No foreign key to runs: the commit that adds entries raises their runs' seq,
-- and fails when a run is not there, which costs less.
CREATE TABLE entries (
    shard  integer  NOT NULL,
    seq    bigint   NOT NULL CHECK (seq > 0),
    run_id text COLLATE "C" NOT NULL,
    source smallint NOT NULL CHECK (source IN (0, 1)), -- 0: the leader, 1: an acceptor
    body   bytea    NOT NULL,                          -- the facts, a JSON array
    PRIMARY KEY (shard, seq)
);

CREATE INDEX entries_by_run ON entries (run_id, seq);
CREATE INDEX entries_accepted ON entries (shard, seq) WHERE source = 1;

-- Fence and numbering of a commit of the leader, in one statement: the shard's
-- row is held from here to the commit.
CREATE FUNCTION take_numbers(of_shard integer, count bigint, of_leader text, of_epoch bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    last bigint;
BEGIN
    UPDATE shards SET seq = seq + count WHERE shard = of_shard AND leader = of_leader AND leader_epoch = of_epoch RETURNING seq INTO last;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'OC001', MESSAGE = 'the epoch is over';
    END IF;
    RETURN last;
END $$;

-- Ends the transaction unless a count is the one that is needed.
CREATE FUNCTION require_count(got bigint, want bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF got <> want THEN
        RAISE EXCEPTION USING ERRCODE = 'OC002', MESSAGE = 'a row that must be there is not';
    END IF;
END $$;

CREATE TABLE commands (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- about the order in which they came
    id     text COLLATE "C" NOT NULL UNIQUE CHECK (id <> ''),
    tenant text COLLATE "C" NOT NULL,
    shard  integer     NOT NULL,
    run_id text COLLATE "C" NOT NULL REFERENCES runs (id),
    kind   text        NOT NULL CHECK (kind IN ('cancel_asked')),
    by     text        NOT NULL,
    reason text        NOT NULL,
    at     timestamptz NOT NULL
);

CREATE INDEX commands_by_shard ON commands (shard, number);

CREATE TABLE attempt_logs (
    run_id   text COLLATE "C" NOT NULL,
    step     integer  NOT NULL CHECK (step >= 0),
    item     integer  NOT NULL CHECK (item >= 0),
    attempt  integer  NOT NULL CHECK (attempt > 0),
    tenant   text COLLATE "C" NOT NULL,
    encoding smallint NOT NULL CHECK (encoding IN (0, 1)), -- 0: JSON lines in an array, 1: the same by gzip
    body     bytea    NOT NULL,
    PRIMARY KEY (run_id, step, item, attempt)
);

CREATE TABLE credentials (
    id         text COLLATE "C" PRIMARY KEY CHECK (id <> ''),
    tenant     text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    name       text COLLATE "C" NOT NULL CHECK (name <> ''),
    kind       text        NOT NULL CHECK (kind IN ('password', 'ssh_key')),
    username   text        NOT NULL,
    scope      json        NOT NULL,
    sealed     bytea       NOT NULL CHECK (length(sealed) > 0),
    key_id     text        NOT NULL CHECK (key_id <> ''),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    version    bigint      NOT NULL CHECK (version > 0),
    UNIQUE (tenant, name),
    UNIQUE (tenant, id)
);

CREATE TABLE assets (
    id            text COLLATE "C" PRIMARY KEY CHECK (id <> ''),
    tenant        text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    name          text COLLATE "C" NOT NULL CHECK (name <> ''),
    address       text        NOT NULL,
    port          integer     NOT NULL CHECK (port BETWEEN 0 AND 65535),
    protocol      text        NOT NULL CHECK (protocol IN ('ssh', 'winrm', 'none')),
    os            text        NOT NULL,
    tags          json        NOT NULL,
    vars          json        NOT NULL,
    host_keys     json        NOT NULL,
    credential_id text COLLATE "C",
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    version       bigint      NOT NULL CHECK (version > 0),
    UNIQUE (tenant, name),
    FOREIGN KEY (tenant, credential_id) REFERENCES credentials (tenant, id)
);

CREATE INDEX assets_by_credential ON assets (tenant, credential_id) WHERE credential_id IS NOT NULL;

CREATE TABLE artifacts (
    tenant text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    digest text COLLATE "C" NOT NULL CHECK (length(digest) = 64),
    body   bytea NOT NULL,
    PRIMARY KEY (tenant, digest)
);

CREATE TABLE plugins (
    id          text COLLATE "C" PRIMARY KEY CHECK (id <> ''),
    tenant      text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL CHECK (name <> ''),
    version     text COLLATE "C" NOT NULL CHECK (version <> ''),
    digest      text COLLATE "C" NOT NULL,
    size        bigint      NOT NULL CHECK (size >= 0),
    state       text        NOT NULL CHECK (state IN ('vetted', 'active', 'disabled')),
    manifest    json        NOT NULL,
    grants      json        NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    row_version bigint      NOT NULL CHECK (row_version > 0),
    UNIQUE (tenant, name, version),
    UNIQUE (tenant, digest),
    FOREIGN KEY (tenant, digest) REFERENCES artifacts (tenant, digest)
);

CREATE TABLE tokens (
    id         text COLLATE "C" PRIMARY KEY CHECK (id <> ''),
    tenant     text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    name       text        NOT NULL CHECK (name <> ''),
    role       text        NOT NULL CHECK (role IN ('admin', 'submitter')),
    hash       bytea       NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz
);

CREATE INDEX tokens_by_tenant ON tokens (tenant, id);

CREATE TABLE idempotency (
    tenant  text COLLATE "C" NOT NULL,
    by      text COLLATE "C" NOT NULL,
    action  text COLLATE "C" NOT NULL,
    key     text COLLATE "C" NOT NULL CHECK (key <> ''),
    request text        NOT NULL,
    object  text        NOT NULL,
    at      timestamptz NOT NULL,
    PRIMARY KEY (tenant, by, action, key)
);

CREATE TABLE audit (
    tenant   text COLLATE "C" NOT NULL,
    seq      bigint      NOT NULL CHECK (seq > 0),
    at       timestamptz NOT NULL,
    by       text        NOT NULL,
    action   text        NOT NULL,
    object   text        NOT NULL,
    detail   json,
    previous bytea       CHECK ((previous IS NULL) = (seq = 1)),
    hash     bytea       NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (tenant, seq)
);

-- The newest entry of each tenant, so that an end that was cut off is found too;
-- its lock is what keeps a tenant's acts in a row.
CREATE TABLE audit_heads (
    tenant text COLLATE "C" PRIMARY KEY,
    seq    bigint NOT NULL CHECK (seq >= 0), -- 0: nothing yet
    hash   bytea,
    CHECK ((hash IS NULL) = (seq = 0))
) WITH (fillfactor = 10);
