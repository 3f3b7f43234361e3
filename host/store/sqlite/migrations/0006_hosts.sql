-- Many hosts: what a host serves and does, and the post between it and the leader.
-- On SQLite one host alone runs; the tables are the same.
ALTER TABLE hosts ADD COLUMN queues TEXT NOT NULL DEFAULT '["default"]' CHECK (json_valid(queues));
ALTER TABLE hosts ADD COLUMN state TEXT NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'draining', 'stopped', 'lost'));
ALTER TABLE hosts ADD COLUMN at_work INTEGER NOT NULL DEFAULT 0 CHECK (at_work >= 0);

CREATE TABLE deliveries (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    shard   INTEGER NOT NULL,
    host_id TEXT    NOT NULL,
    epoch   INTEGER NOT NULL,
    kind    TEXT    NOT NULL CHECK (kind IN ('attempt', 'cancel', 'intent')),
    body    BLOB    NOT NULL
) STRICT;

CREATE INDEX deliveries_by_host ON deliveries (shard, host_id, epoch, number);

CREATE TABLE reports (
    shard   INTEGER NOT NULL,
    host_id TEXT    NOT NULL,
    epoch   INTEGER NOT NULL,
    number  INTEGER NOT NULL CHECK (number > 0),
    body    BLOB    NOT NULL,
    PRIMARY KEY (shard, host_id, epoch, number)
) STRICT, WITHOUT ROWID;
