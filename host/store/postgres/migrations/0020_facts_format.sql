-- The latest format of facts that a leader of the shard has written.

ALTER TABLE shards ADD COLUMN facts_format integer NOT NULL DEFAULT 1 CHECK (facts_format >= 1);
