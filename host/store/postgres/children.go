package postgres

import (
	"time"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// insertChildren numbers runs by the place of their first entries in the commit.
const insertChildren = `INSERT INTO runs (id, tenant, shard, workflow, plan_hash, state, submitted_by, day, created_at, seq,
		parent_run_id, parent_step, parent_item, parent_attempt)
	SELECT u.id, u.tenant, $1, u.workflow, u.plan_hash, 'queued', u.by, (u.created AT TIME ZONE 'UTC')::date, u.created, ` + lastNumber + ` - $2::bigint + u.n,
		u.parent, u.step, u.item, u.attempt
	FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::bigint[], $10::text[], $11::text[], $12::int[], $13::int[])
		AS u (id, tenant, workflow, plan_hash, by, created, n, parent, step, item, attempt)`

// queueAccepted adds the rows of the runs that a batch accepts. places are the
// runs' latest entries in the commit, from 1.
func queueAccepted(p *pgx.Batch, b store.Batch, places map[automation.RunID]int64) error {
	runs, err := store.CheckAccepted(b)
	if err != nil || len(runs) == 0 {
		return err
	}
	var ids, tenants, workflows, plans, by, parents, steps []string
	var created []time.Time
	var numbers []int64
	var items, attempts []int32
	for _, r := range runs {
		ids, tenants, workflows = append(ids, string(r.ID)), append(tenants, string(r.Tenant)), append(workflows, r.Workflow)
		plans, by, created = append(plans, string(r.PlanHash)), append(by, r.By), append(created, r.Created)
		numbers, parents, steps = append(numbers, places[r.ID]), append(parents, string(r.Parent.Run)), append(steps, r.Parent.Step)
		items, attempts = append(items, int32(r.Parent.Item)), append(attempts, int32(r.Parent.Attempt)) //nolint:gosec // bounded by the limits of a workflow
	}
	p.Queue(insertChildren, b.Shard, len(b.Entries), ids, tenants, workflows, plans, by, created, numbers, parents, steps, items, attempts)
	return nil
}
