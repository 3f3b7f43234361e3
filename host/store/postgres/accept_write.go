package postgres

import (
	"cmp"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	insertAudits = `INSERT INTO audit (tenant, seq, at, by, action, object, detail, previous, hash)
		SELECT * FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::json[], $8::bytea[], $9::bytea[])`
	moveHeads = `SELECT move_heads($1, $2, $3, $4)`
)

// queueAudit chains the acts of new runs, each to its tenant's head.
func queueAudit(p *pgx.Batch, fresh []*accept, heads map[string]automation.AuditEntry) {
	var tenants, by, actions, objects []string
	var numbers []int64
	var at []time.Time
	var details []*string
	var previous, hashes [][]byte
	before := map[string]int64{}
	for tenant, head := range heads {
		before[tenant] = head.Seq
	}
	for _, a := range fresh {
		head := heads[string(a.act.Tenant)]
		e := store.NextAudit(a.act, head.Seq, head.Hash)
		heads[string(a.act.Tenant)] = e
		tenants, by, actions = append(tenants, string(e.Tenant)), append(by, e.By), append(actions, e.Action)
		objects, numbers, at = append(objects, e.Object), append(numbers, e.Seq), append(at, e.At)
		details, previous, hashes = append(details, detail(e)), append(previous, e.Previous), append(hashes, e.Hash)
	}
	if len(fresh) == 0 {
		return
	}
	p.Queue(insertAudits, tenants, numbers, at, by, actions, objects, details, previous, hashes)
	heirs := slices.Compact(slices.Sorted(slices.Values(tenants)))
	starts, ends, endHashes := make([]int64, len(heirs)), make([]int64, len(heirs)), make([][]byte, len(heirs))
	for i, t := range heirs {
		starts[i], ends[i], endHashes[i] = before[t], heads[t].Seq, heads[t].Hash
	}
	p.Queue(moveHeads, heirs, starts, ends, endHashes)
}

// byShard groups new runs by shard, the lowest first: the order of the locks.
func byShard(fresh []*accept) [][]*accept {
	sorted := slices.Clone(fresh)
	slices.SortStableFunc(sorted, func(a, b *accept) int { return cmp.Compare(a.run.Shard, b.run.Shard) })
	return slices.Collect(chunkBy(sorted))
}

func chunkBy(sorted []*accept) func(yield func([]*accept) bool) {
	return func(yield func([]*accept) bool) {
		for len(sorted) > 0 {
			n := slices.IndexFunc(sorted, func(a *accept) bool { return a.run.Shard != sorted[0].run.Shard })
			if n < 0 {
				n = len(sorted)
			}
			if !yield(sorted[:n]) {
				return
			}
			sorted = sorted[n:]
		}
	}
}

const (
	// raiseShard takes the numbers of acceptors, who have no fence.
	raiseShard = `SELECT next_numbers($1, $2)`
	insertRuns = `INSERT INTO runs (id, tenant, shard, workflow, plan_hash, state, submitted_by, rerun_of, day, created_at, seq)
		SELECT u.id, u.tenant, $1, u.workflow, u.plan_hash, 'queued', u.by, u.rerun_of, (u.created AT TIME ZONE 'UTC')::date, u.created, ` + lastNumber + ` - $2::bigint + u.n
		FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::timestamptz[])
			WITH ORDINALITY AS u (id, tenant, workflow, plan_hash, by, rerun_of, created, n)`
)

// queueRuns adds the runs of one shard, with their first entries.
func queueRuns(p *pgx.Batch, part []*accept) {
	var ids, tenants, workflows, plans, by, reruns []string
	var created []time.Time
	var bodies [][]byte
	for _, a := range part {
		r := a.run
		ids, tenants, workflows = append(ids, string(r.ID)), append(tenants, string(r.Tenant)), append(workflows, r.Workflow)
		plans, by = append(plans, string(r.PlanHash)), append(by, r.By)
		reruns = append(reruns, string(r.RerunOf))
		created, bodies = append(created, r.Created), append(bodies, a.body)
	}
	shard := part[0].run.Shard
	p.Queue(raiseShard, shard, len(part)).QueryRow(func(row pgx.Row) error {
		last, err := scanInt(row)
		for i, a := range part {
			a.seq = last - int64(len(part)) + 1 + int64(i)
		}
		return err
	})
	p.Queue(insertRuns, shard, len(part), ids, tenants, workflows, plans, by, reruns, created)
	p.Queue(insertEntries, shard, len(part), fromAcceptor, ids, bodies)
}
