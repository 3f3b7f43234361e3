CREATE TABLE triggers (
    id             TEXT    PRIMARY KEY CHECK (id <> ''),
    tenant         TEXT    NOT NULL CHECK (tenant <> ''),
    name           TEXT    NOT NULL CHECK (name <> ''),
    definition     TEXT    NOT NULL CHECK (definition <> ''),
    inputs         TEXT    CHECK (inputs IS NULL OR json_valid(inputs)),
    condition      TEXT    NOT NULL,
    scheme         TEXT    NOT NULL CHECK (scheme IN ('standard', 'github')),
    enabled        INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    key_id         TEXT    NOT NULL CHECK (key_id <> ''),
    sealed         BLOB    NOT NULL CHECK (length(sealed) > 0),
    secret_version INTEGER NOT NULL CHECK (secret_version > 0),
    previous_until INTEGER,
    last_at        INTEGER,
    last_run       TEXT    NOT NULL DEFAULT '',
    last_error     TEXT    CHECK (last_error IS NULL OR json_valid(last_error)),
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    version        INTEGER NOT NULL CHECK (version > 0),
    UNIQUE (tenant, name)
) STRICT;

-- The webhooks that were taken. run_id is '' where the trigger's condition was
-- false. body_key is the body's digest where the body too says which delivery it is.
CREATE TABLE webhooks (
    trigger_id TEXT    NOT NULL REFERENCES triggers (id) ON DELETE CASCADE,
    delivery   TEXT    NOT NULL CHECK (delivery <> ''),
    tenant     TEXT    NOT NULL,
    body       TEXT    NOT NULL CHECK (body <> ''),
    body_key   TEXT,
    at         INTEGER NOT NULL,
    run_id     TEXT    NOT NULL,
    plan_hash  TEXT    NOT NULL,
    workflow   TEXT    NOT NULL,
    by         TEXT    NOT NULL,
    PRIMARY KEY (trigger_id, delivery),
    CHECK ((run_id = '') = (plan_hash = ''))
) STRICT;

CREATE UNIQUE INDEX webhooks_body ON webhooks (trigger_id, body_key) WHERE body_key IS NOT NULL;
CREATE INDEX webhooks_at ON webhooks (trigger_id, at);
