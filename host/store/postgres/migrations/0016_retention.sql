-- What grows with runs is partitioned by the day of the run's creation, so that a
-- day is dropped whole. The day is in the run's identifier (UUIDv7, in text order),
-- which all these tables have: it is the partition key, and unique keys have it too.
-- What is stored already becomes the first partition as it is, up to the day after
-- tomorrow; the partitions after it are made by the hosts (partitions.go).

ALTER TABLE approvals DROP CONSTRAINT approvals_run_id_fkey;
ALTER TABLE commands DROP CONSTRAINT commands_run_id_fkey;

DROP TRIGGER runs_transition ON runs;
ALTER TABLE runs RENAME TO runs_first;
ALTER INDEX runs_pkey RENAME TO runs_first_pkey;
ALTER INDEX runs_by_tenant RENAME TO runs_first_by_tenant;
ALTER INDEX runs_by_state RENAME TO runs_first_by_state;
ALTER INDEX runs_open RENAME TO runs_first_open;
ALTER INDEX runs_by_parent RENAME TO runs_first_by_parent;
ALTER INDEX runs_on_top RENAME TO runs_first_on_top;

ALTER TABLE entries RENAME TO entries_first;
ALTER TABLE entries_first DROP CONSTRAINT entries_pkey;
ALTER TABLE entries_first ADD CONSTRAINT entries_first_pkey PRIMARY KEY (run_id, seq);
DROP INDEX entries_by_run;
ALTER INDEX entries_accepted RENAME TO entries_first_accepted;

ALTER TABLE attempt_logs RENAME TO attempt_logs_first;
ALTER INDEX attempt_logs_pkey RENAME TO attempt_logs_first_pkey;

CREATE TABLE runs (LIKE runs_first INCLUDING DEFAULTS INCLUDING CONSTRAINTS, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE INDEX runs_by_tenant ON runs (tenant, id);
CREATE INDEX runs_by_state ON runs (tenant, state, id);
CREATE INDEX runs_open ON runs (shard, id) WHERE state IN ('awaiting_approval', 'queued', 'running', 'paused');
CREATE INDEX runs_by_parent ON runs (parent_run_id, id) WHERE parent_run_id IS NOT NULL;
CREATE INDEX runs_on_top ON runs (tenant, id) WHERE parent_run_id IS NULL;
CREATE INDEX runs_by_plan ON runs (tenant, plan_hash); -- a plan goes when no run has it
ALTER TABLE runs ADD CONSTRAINT runs_tenant_plan_hash_fkey FOREIGN KEY (tenant, plan_hash) REFERENCES plans (tenant, hash);

-- automation.RunTransitions; a test walks every pair of states.
CREATE TRIGGER runs_transition BEFORE UPDATE OF state ON runs FOR EACH ROW
WHEN (OLD.state <> NEW.state AND OLD.state || '>' || NEW.state NOT IN (
    'awaiting_approval>queued', 'awaiting_approval>rejected', 'awaiting_approval>cancelled',
    'queued>running', 'queued>paused', 'queued>succeeded', 'queued>failed', 'queued>cancelled',
    'running>paused', 'running>succeeded', 'running>failed', 'running>cancelled',
    'paused>running', 'paused>queued', 'paused>failed', 'paused>succeeded', 'paused>cancelled'))
EXECUTE FUNCTION refuse_transition();

-- A run is of one shard, and the shard's row gives each number once.
CREATE TABLE entries (LIKE entries_first INCLUDING DEFAULTS INCLUDING CONSTRAINTS, PRIMARY KEY (run_id, seq)) PARTITION BY RANGE (run_id);
CREATE INDEX entries_accepted ON entries (shard, seq) WHERE source = 1;

CREATE TABLE attempt_logs (LIKE attempt_logs_first INCLUDING DEFAULTS INCLUDING CONSTRAINTS, PRIMARY KEY (run_id, step, item, attempt)) PARTITION BY RANGE (run_id);

DO $$
DECLARE
    -- The first milliseconds of the day after tomorrow, UTC, as identifiers begin.
    hex   text := lpad(to_hex(((date_part('epoch', date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC') + 172800) * 1000)::bigint), 12, '0');
    bound text := substr(hex, 1, 8) || '-' || substr(hex, 9, 4);
    name  text;
BEGIN
    FOREACH name IN ARRAY ARRAY['runs', 'entries', 'attempt_logs'] LOOP
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%L)', name, name || '_first', bound);
        -- What no other partition has room for: hosts say so and move it.
        EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', name || '_rest', name);
    END LOOP;
END $$;

-- Idempotency keys go with the runs of their time.
CREATE INDEX idempotency_by_age ON idempotency (at);

-- The highest epoch of the hosts whose rows were removed: a host that comes back
-- begins above it, so that no epoch of a host comes twice.
CREATE TABLE removed_hosts (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch    bigint NOT NULL CHECK (epoch >= 0)
);

INSERT INTO removed_hosts (epoch) VALUES (0);

CREATE INDEX plans_by_age ON plans (created_at);
