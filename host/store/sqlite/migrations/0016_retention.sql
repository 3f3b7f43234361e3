-- Runs are removed in slices, when the day of their creation is over for long
-- enough; it is in their identifiers (UUIDv7, in text order). What has a run's
-- identifier goes after the run, in slices of its own. A plan goes when no run has it.
CREATE INDEX runs_by_plan ON runs (tenant, plan_hash);

-- commands and approvals refer to runs: their rows go with the run's.
CREATE INDEX commands_by_run ON commands (run_id);

-- Idempotency keys go with the runs of their time.
CREATE INDEX idempotency_by_age ON idempotency (at);

-- The highest epoch of the hosts whose rows were removed: a host that comes back
-- begins above it, so that no epoch of a host comes twice.
CREATE TABLE removed_hosts (
    only_row INTEGER PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
    epoch    INTEGER NOT NULL CHECK (epoch >= 0)
) STRICT;

INSERT INTO removed_hosts (epoch) VALUES (0);

CREATE INDEX plans_by_age ON plans (created_at);
