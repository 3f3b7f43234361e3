-- Task queues: which one the attempts on an asset stand in ('': the default one), and
-- what waits in each, as the leader last said.
ALTER TABLE assets ADD COLUMN queue TEXT NOT NULL DEFAULT '';

CREATE TABLE queue_loads (
    shard   INTEGER NOT NULL,
    queue   TEXT    NOT NULL CHECK (queue <> ''),
    waiting INTEGER NOT NULL CHECK (waiting > 0),
    PRIMARY KEY (shard, queue)
) STRICT, WITHOUT ROWID;
