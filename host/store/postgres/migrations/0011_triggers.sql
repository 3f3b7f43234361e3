CREATE TABLE triggers (
    id             text COLLATE "C" PRIMARY KEY CHECK (id <> ''),
    tenant         text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    name           text COLLATE "C" NOT NULL CHECK (name <> ''),
    definition     text        NOT NULL CHECK (definition <> ''),
    inputs         json,
    condition      text        NOT NULL,
    scheme         text        NOT NULL CHECK (scheme IN ('standard', 'github')),
    enabled        boolean     NOT NULL,
    key_id         text        NOT NULL CHECK (key_id <> ''),
    sealed         bytea       NOT NULL CHECK (length(sealed) > 0),
    secret_version bigint      NOT NULL CHECK (secret_version > 0),
    previous_until timestamptz,
    last_at        timestamptz,
    last_run       text COLLATE "C" NOT NULL DEFAULT '',
    last_error     json,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    version        bigint      NOT NULL CHECK (version > 0),
    UNIQUE (tenant, name)
);

-- The webhooks that were taken. run_id is '' where the trigger's condition was
-- false. body_key is the body's digest where the body too says which delivery it is.
CREATE TABLE webhooks (
    trigger_id text COLLATE "C" NOT NULL REFERENCES triggers (id) ON DELETE CASCADE,
    delivery   text COLLATE "C" NOT NULL CHECK (delivery <> ''),
    tenant     text COLLATE "C" NOT NULL,
    body       text COLLATE "C" NOT NULL CHECK (body <> ''),
    body_key   text COLLATE "C",
    at         timestamptz NOT NULL,
    run_id     text COLLATE "C" NOT NULL,
    plan_hash  text COLLATE "C" NOT NULL,
    workflow   text        NOT NULL,
    by         text        NOT NULL,
    PRIMARY KEY (trigger_id, delivery),
    CHECK ((run_id = '') = (plan_hash = ''))
);

CREATE UNIQUE INDEX webhooks_body ON webhooks (trigger_id, body_key) WHERE body_key IS NOT NULL;
CREATE INDEX webhooks_at ON webhooks (trigger_id, at);
