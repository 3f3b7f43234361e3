-- The newest number of a shard is a row of its own for each commit, and not a
-- version of one row: while an old transaction is open, PostgreSQL keeps every
-- version, and each look at the row would pass all of them. A commit deletes the row
-- before its own. Hosts of the versions before can't number entries any more, and
-- fail at that.

CREATE TABLE numbers (
    shard integer NOT NULL CHECK (shard >= 0),
    last  bigint  NOT NULL CHECK (last > 0),
    PRIMARY KEY (shard, last)
);

INSERT INTO numbers SELECT shard, seq FROM shards WHERE seq > 0;

-- Takes so many numbers of a shard and returns the last one, which statements of the
-- same transaction find as the setting opsconductor.last. Who takes numbers waits
-- until the one before has committed, so that the order of the numbers is that of
-- the commits.
CREATE FUNCTION next_numbers(of_shard integer, count bigint) RETURNS bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    before bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(1331912045, of_shard);
    SELECT n.last INTO before FROM numbers n WHERE n.shard = of_shard ORDER BY n.last DESC LIMIT 1;
    before := coalesce(before, 0);
    IF count > 0 THEN
        INSERT INTO numbers VALUES (of_shard, before + count);
        DELETE FROM numbers n WHERE n.shard = of_shard AND n.last = before;
    END IF;
    PERFORM set_config('opsconductor.last', (before + count)::text, true);
    RETURN before + count;
END $$;

-- The same for a leader; it ends the transaction when the epoch is over. Whoever takes
-- the lead waits for the end of this transaction, by the lock on the row.
CREATE OR REPLACE FUNCTION take_numbers(of_shard integer, count bigint, of_leader text, of_epoch bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM shards WHERE shard = of_shard AND leader = of_leader AND leader_epoch = of_epoch FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'OC001', MESSAGE = 'the epoch is over';
    END IF;
    RETURN next_numbers(of_shard, count);
END $$;

ALTER TABLE shards DROP COLUMN seq;

-- The newest entry of each tenant, in the same way; the row in audit_heads is the
-- lock that keeps a tenant's acts in a row.
CREATE TABLE audit_tops (
    tenant text COLLATE "C" NOT NULL,
    seq    bigint NOT NULL CHECK (seq > 0),
    hash   bytea  NOT NULL,
    PRIMARY KEY (tenant, seq)
);

INSERT INTO audit_tops SELECT tenant, seq, hash FROM audit_heads WHERE seq > 0;

ALTER TABLE audit_heads DROP COLUMN seq, DROP COLUMN hash;

-- The newest entry of tenants, whose heads the transaction then holds; seq 0 for a
-- tenant without one.
CREATE FUNCTION lock_heads(of_tenants text[]) RETURNS TABLE (of_tenant text, newest bigint, newest_hash bytea) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    INSERT INTO audit_heads (tenant) SELECT unnest(of_tenants) ON CONFLICT DO NOTHING;
    PERFORM 1 FROM audit_heads h WHERE h.tenant = ANY (of_tenants) ORDER BY h.tenant FOR UPDATE;
    RETURN QUERY SELECT t.tenant, coalesce(n.seq, 0), n.hash FROM unnest(of_tenants) AS t (tenant)
        LEFT JOIN LATERAL (SELECT x.seq, x.hash FROM audit_tops x WHERE x.tenant = t.tenant ORDER BY x.seq DESC LIMIT 1) n ON true;
END $$;

-- Moves the newest entry of tenants whose heads the transaction holds.
CREATE FUNCTION move_heads(of_tenants text[], befores bigint[], seqs bigint[], hashes bytea[]) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    INSERT INTO audit_tops SELECT * FROM unnest(of_tenants, seqs, hashes);
    DELETE FROM audit_tops x USING unnest(of_tenants, befores) AS u (tenant, seq) WHERE x.tenant = u.tenant COLLATE "C" AND x.seq = u.seq;
END $$;
