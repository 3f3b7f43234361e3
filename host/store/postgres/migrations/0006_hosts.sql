-- Many hosts: what a host serves and does, and the post between it and the leader.
ALTER TABLE hosts ADD COLUMN queues json NOT NULL DEFAULT '["default"]';
ALTER TABLE hosts ADD COLUMN state text NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'draining', 'stopped', 'lost'));
ALTER TABLE hosts ADD COLUMN at_work integer NOT NULL DEFAULT 0 CHECK (at_work >= 0);

-- Numbers are given while the shard's row is held: in the order of the commits.
CREATE TABLE deliveries (
    shard   integer NOT NULL,
    host_id text COLLATE "C" NOT NULL,
    epoch   bigint  NOT NULL,
    number  bigint  GENERATED ALWAYS AS IDENTITY,
    kind    text    NOT NULL CHECK (kind IN ('attempt', 'cancel', 'intent')),
    body    bytea   NOT NULL,
    PRIMARY KEY (shard, host_id, epoch, number)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- Numbers are the host's own, which writes one commit after the other.
CREATE TABLE reports (
    shard   integer NOT NULL,
    host_id text COLLATE "C" NOT NULL,
    epoch   bigint  NOT NULL,
    number  bigint  NOT NULL CHECK (number > 0),
    body    bytea   NOT NULL,
    PRIMARY KEY (shard, host_id, epoch, number)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- The fence of a host's commit: its row is held from here to the commit, so that
-- whoever raises its epoch waits for this commit, or this commit fails.
CREATE FUNCTION hold_host(of_host text, of_epoch bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM hosts WHERE id = of_host AND epoch = of_epoch FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'OC001', MESSAGE = 'the epoch is over';
    END IF;
END $$;
