-- What may run at the same time and how often it may start; the buckets of rates.
CREATE TABLE limits (
    id          TEXT    PRIMARY KEY CHECK (id <> ''),
    tenant      TEXT    NOT NULL CHECK (tenant <> ''),
    kind        TEXT    NOT NULL CHECK (kind IN ('global', 'tenant', 'queue', 'plugin', 'action', 'credential', 'asset', 'concurrency_key')),
    match       TEXT    NOT NULL CHECK (kind <> 'global' OR match = ''),
    max_running INTEGER NOT NULL CHECK (max_running >= 0),
    rate_count  INTEGER CHECK (rate_count > 0),
    rate_per    INTEGER CHECK (rate_per > 0), -- nanoseconds
    rate_burst  INTEGER CHECK (rate_burst > 0),
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    version     INTEGER NOT NULL CHECK (version > 0),
    UNIQUE (tenant, kind, match),
    CHECK ((rate_count IS NULL) = (rate_per IS NULL) AND (rate_count IS NULL) = (rate_burst IS NULL)),
    CHECK (max_running > 0 OR rate_count IS NOT NULL)
) STRICT;

CREATE TABLE buckets (
    shard INTEGER NOT NULL,
    key   TEXT    NOT NULL CHECK (key <> ''),
    tat   INTEGER NOT NULL, -- nanoseconds since 1970
    PRIMARY KEY (shard, key)
) STRICT, WITHOUT ROWID;
