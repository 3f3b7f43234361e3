CREATE TABLE schedules (
    id         text COLLATE "C" PRIMARY KEY CHECK (id <> ''),
    tenant     text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    name       text COLLATE "C" NOT NULL CHECK (name <> ''),
    definition text        NOT NULL CHECK (definition <> ''),
    inputs     json,
    cron       text        NOT NULL,
    every      text        NOT NULL,
    time_zone  text        NOT NULL CHECK (time_zone <> ''),
    catch_up   text        NOT NULL CHECK (catch_up IN ('skip', 'one', 'all')),
    overlap    text        NOT NULL CHECK (overlap IN ('skip', 'queue', 'cancel')),
    jitter     text        NOT NULL,
    paused     boolean     NOT NULL,
    next_at    timestamptz,
    due_at     timestamptz,
    last_at    timestamptz,
    last_run   text COLLATE "C" NOT NULL DEFAULT '',
    last_error json,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    version    bigint      NOT NULL CHECK (version > 0),
    UNIQUE (tenant, name),
    CHECK ((cron = '') <> (every = '')),
    CHECK ((next_at IS NULL) = (due_at IS NULL)),
    CHECK (NOT paused OR next_at IS NULL)
);

CREATE INDEX schedules_due ON schedules (due_at) WHERE due_at IS NOT NULL;

-- Times that were claimed and whose run is to be accepted: one a schedule at most.
CREATE TABLE schedule_fires (
    schedule_id text COLLATE "C" PRIMARY KEY REFERENCES schedules (id) ON DELETE CASCADE,
    tenant      text COLLATE "C" NOT NULL,
    at          timestamptz NOT NULL,
    run_id      text COLLATE "C" NOT NULL CHECK (run_id <> ''),
    plan_hash   text COLLATE "C" NOT NULL,
    workflow    text        NOT NULL,
    by          text        NOT NULL,
    claimed_at  timestamptz NOT NULL,
    FOREIGN KEY (tenant, plan_hash) REFERENCES plans (tenant, hash)
);
