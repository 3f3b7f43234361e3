package sqlite_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"opsconductor.dev/host/store/storetest"
)

// fillRuns makes runs as storetest.Fill says.
const fillRuns = `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < %[3]d),
	t AS (SELECT i, %[1]d + i * %[2]d AS ms, format('%%012x', %[1]d + i * %[2]d) AS h FROM n),
	ids AS (SELECT i, ms, substr(h, 1, 8) || '-' || substr(h, 9, 4) || format('-7000-8000-%%012x', i) AS id FROM t),
	parent (p) AS MATERIALIZED (SELECT substr(h, 1, 8) || '-' || substr(h, 9, 4) || format('-7000-8000-%%012x', %[4]d - 1) FROM (SELECT format('%%012x', %[1]d + (%[4]d - 1) * %[2]d) AS h))
	INSERT INTO runs (id, tenant, shard, workflow, plan_hash, state, submitted_by, rerun_of, day, created_at, started_at, ended_at, seq,
		parent_run_id, parent_step, parent_item, parent_attempt)
	SELECT id, 'default', 0, 'workflow-' || i %% 50, '%[5]s', CASE WHEN i %% 50 = 0 THEN 'failed' ELSE 'succeeded' END, 'ann', '', ms / 86400000,
		ms * 1000, ms * 1000, ms * 1000, i + 1,
		CASE WHEN i >= %[4]d THEN p END, CASE WHEN i >= %[4]d THEN 's' END, CASE WHEN i >= %[4]d THEN 0 END, CASE WHEN i >= %[4]d THEN 1 END
	FROM ids, parent`

func BenchmarkLists(b *testing.B) {
	path := filepath.Join(b.TempDir(), "ops.db")
	storetest.BenchLists(b, open(b, path), func(f storetest.Fill) error {
		return execute(b, path, fmt.Sprintf(fillRuns, f.First, f.Step, f.Runs, f.Top, f.Plan))
	})
}
