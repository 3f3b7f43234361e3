-- Task queues: which one the attempts on an asset stand in ('': the default one), and
-- what waits in each, as the leader last said.
ALTER TABLE assets ADD COLUMN queue text COLLATE "C" NOT NULL DEFAULT '';

CREATE TABLE queue_loads (
    shard   integer NOT NULL,
    queue   text COLLATE "C" NOT NULL CHECK (queue <> ''),
    waiting bigint  NOT NULL CHECK (waiting > 0),
    PRIMARY KEY (shard, queue)
) WITH (fillfactor = 50);
