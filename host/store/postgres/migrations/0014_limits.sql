-- What may run at the same time and how often it may start; the buckets of rates.
CREATE TABLE limits (
    id          text COLLATE "C" PRIMARY KEY CHECK (id <> ''),
    tenant      text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    kind        text COLLATE "C" NOT NULL CHECK (kind IN ('global', 'tenant', 'queue', 'plugin', 'action', 'credential', 'asset', 'concurrency_key')),
    match       text COLLATE "C" NOT NULL CHECK (kind <> 'global' OR match = ''),
    max_running bigint      NOT NULL CHECK (max_running >= 0),
    rate_count  bigint      CHECK (rate_count > 0),
    rate_per    bigint      CHECK (rate_per > 0), -- nanoseconds
    rate_burst  bigint      CHECK (rate_burst > 0),
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    version     bigint      NOT NULL CHECK (version > 0),
    UNIQUE (tenant, kind, match),
    CHECK ((rate_count IS NULL) = (rate_per IS NULL) AND (rate_count IS NULL) = (rate_burst IS NULL)),
    CHECK (max_running > 0 OR rate_count IS NOT NULL)
);

CREATE TABLE buckets (
    shard int  NOT NULL,
    key   text COLLATE "C" NOT NULL CHECK (key <> ''),
    tat   bigint NOT NULL, -- nanoseconds since 1970
    PRIMARY KEY (shard, key)
);
