package postgres_test

import (
	"fmt"
	"testing"

	"opsconductor.dev/host/store/storetest"
)

// fillRuns makes runs as storetest.Fill says.
const fillRuns = `WITH ids AS (
		SELECT i, ms, substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-7000-8000-' || lpad(to_hex(i), 12, '0') AS id
		FROM (SELECT i, ms, lpad(to_hex(ms), 12, '0') AS h FROM (SELECT i, %[1]d + i::bigint * %[2]d AS ms FROM generate_series(0, %[3]d - 1) i) n) t),
	parent AS (SELECT id FROM ids WHERE i = %[4]d - 1)
	INSERT INTO runs (id, tenant, shard, workflow, plan_hash, state, submitted_by, rerun_of, day, created_at, started_at, ended_at, seq,
		parent_run_id, parent_step, parent_item, parent_attempt)
	SELECT id, 'default', 0, 'workflow-' || i %% 50, '%[5]s', CASE WHEN i %% 50 = 0 THEN 'failed' ELSE 'succeeded' END, 'ann', '', to_timestamp(ms / 1000.0)::date,
		to_timestamp(ms / 1000.0), to_timestamp(ms / 1000.0), to_timestamp(ms / 1000.0), i + 1,
		CASE WHEN i >= %[4]d THEN (SELECT id FROM parent) END, CASE WHEN i >= %[4]d THEN 's' END, CASE WHEN i >= %[4]d THEN 0 END, CASE WHEN i >= %[4]d THEN 1 END
	FROM ids`

func BenchmarkLists(b *testing.B) {
	url := database(b)
	db := open(b, url)
	storetest.BenchLists(b, db, func(f storetest.Fill) error {
		if err := execute(url, fmt.Sprintf(fillRuns, f.First, f.Step, f.Runs, f.Top, f.Plan)); err != nil {
			return err
		}
		return execute(url, `VACUUM ANALYZE runs`)
	})
}
