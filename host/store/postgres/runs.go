package postgres

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// updateRuns changes the records of runs, each at most once, and their seq where
// the run has an entry in the commit (n > 0). The least and the greatest identifier
// keep it out of the partitions of other days.
const updateRuns = `WITH changed AS (
		UPDATE runs r SET state = u.state, error = u.error, started_at = coalesce(u.started, r.started_at), ended_at = u.ended,
			outputs = u.outputs, seq = CASE WHEN u.n > 0 THEN ` + lastNumber + ` - $2::bigint + u.n ELSE r.seq END
		FROM unnest($3::text[], $4::bigint[], $5::text[], $6::json[], $7::timestamptz[], $8::timestamptz[], $9::json[])
			AS u (id, n, state, error, started, ended, outputs)
		WHERE r.id = u.id AND r.shard = $1 AND r.id >= $10 AND r.id <= $11 RETURNING 1)
	SELECT require_count((SELECT count(*) FROM changed), cardinality($3::text[]))`

// runUpdates is the columns of updateRuns.
type runUpdates struct {
	ids, states    []string
	places         []int64
	errors         []*string
	outputs        []*string
	started, ended []*time.Time
}

// newRunUpdates lays updates out in columns; each run's place is taken out of newest.
func newRunUpdates(wave []automation.RunUpdate, newest map[automation.RunID]int64) (runUpdates, error) {
	var u runUpdates
	for _, r := range wave {
		var problem *string
		if r.Error != nil {
			text, err := encoded(r.Error)
			if err != nil {
				return u, err
			}
			problem = &text
		}
		u.ids, u.states = append(u.ids, string(r.Run)), append(u.states, string(r.State))
		u.places, u.errors = append(u.places, newest[r.Run]), append(u.errors, problem)
		u.outputs = append(u.outputs, text(r.Outputs))
		u.started, u.ended = append(u.started, moment(r.Started)), append(u.ended, moment(r.Ended))
		delete(newest, r.Run)
	}
	return u, nil
}

// waves cuts updates into parts in which no run comes twice, since one UPDATE
// changes a row once: the first updates of all runs, the second ones, and so on.
func waves(updates []automation.RunUpdate) iter.Seq[[]automation.RunUpdate] {
	return func(yield func([]automation.RunUpdate) bool) {
		for len(updates) > 0 {
			seen := make(map[automation.RunID]bool, len(updates))
			var wave, rest []automation.RunUpdate
			for _, u := range updates {
				if seen[u.Run] {
					rest = append(rest, u)
					continue
				}
				seen[u.Run] = true
				wave = append(wave, u)
			}
			if !yield(wave) {
				return
			}
			updates = rest
		}
	}
}

const (
	selectRun = `SELECT id, tenant, shard, workflow, plan_hash, state, error, submitted_by, rerun_of, created_at, started_at, ended_at, seq,
		parent_run_id, parent_step, parent_item, parent_attempt, outputs FROM runs`
	selectRuns = `SELECT id, tenant, shard, workflow, plan_hash, state, error, submitted_by, rerun_of, created_at, started_at, ended_at, seq,
		parent_run_id, parent_step, parent_item, parent_attempt, NULL FROM runs`
	runByID = selectRun + ` WHERE id = $1 AND tenant = $2`
)

func scanRun(row pgx.Row) (automation.Run, error) {
	var r automation.Run
	var parent store.ParentRow
	err := row.Scan(&r.ID, &r.Tenant, &r.Shard, &r.Workflow, &r.PlanHash, &r.State, &r.Error, &r.By, &r.RerunOf,
		stamp{&r.Created}, stamp{&r.Started}, stamp{&r.Ended}, &r.Seq, &parent.Run, &parent.Step, &parent.Item, &parent.Attempt, &r.Outputs)
	r.Parent = parent.Parent()
	return r, err
}

// Run returns one run.
func (db *DB) Run(ctx context.Context, tenant automation.TenantID, id automation.RunID) (automation.Run, error) {
	return one(ctx, db, scanRun, "run", runByID, string(id), string(tenant))
}

const (
	runsBefore = ` WHERE tenant = $1 AND id < $2`
	newestRuns = ` ORDER BY id DESC LIMIT $3`
	onTop      = ` AND parent_run_id IS NULL`
	// afterAll sorts after every identifier: hexadecimal digits and dashes.
	afterAll = "~"
)

// ListRuns returns the runs that q asks for, the newest first.
func (db *DB) ListRuns(ctx context.Context, tenant automation.TenantID, q store.RunQuery, page automation.Page) ([]automation.Run, error) {
	if err := store.CheckPage(page); err != nil {
		return nil, err
	}
	before := page.After
	if before == "" {
		before = afterAll
	}
	query, args := selectRuns+runsBefore, []any{string(tenant), before, page.Limit}
	if q.State != "" {
		args = append(args, string(q.State))
		query += fmt.Sprintf(" AND state = $%d", len(args))
	}
	switch {
	case q.Parent != "":
		args = append(args, string(q.Parent))
		query += fmt.Sprintf(" AND parent_run_id = $%d", len(args))
	case !q.Nested:
		query += onTop
	}
	return list(ctx, db, scanRun, query+newestRuns, args...)
}

const (
	// The time says when it was wanted last, to the hour: one that is wanted stays.
	insertPlan = `INSERT INTO plans (tenant, hash, body, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (tenant, hash) DO UPDATE SET created_at = excluded.created_at WHERE plans.created_at < excluded.created_at - interval '1 hour'`
	selectPlan = `SELECT body FROM plans WHERE tenant = $1 AND hash = $2`
)

// PutPlan stores a plan under its hash; storing it again changes nothing.
func (db *DB) PutPlan(ctx context.Context, tenant automation.TenantID, hash automation.Digest, plan []byte, at time.Time) error {
	_, err := db.statement(ctx, insertPlan, string(tenant), string(hash), plan, moment(at))
	return err
}

// Plan returns a stored plan.
func (db *DB) Plan(ctx context.Context, tenant automation.TenantID, hash automation.Digest) ([]byte, error) {
	return one(ctx, db, scanBytes, "plan", selectPlan, string(tenant), string(hash))
}

func scanBytes(row pgx.Row) (b []byte, err error) { return b, row.Scan(&b) }

const (
	insertCommand = `INSERT INTO commands (id, tenant, shard, run_id, kind, step, item, told, by, reason, at)
		SELECT $1::text, tenant, shard, id, $2::text, $3::integer, $4::integer, nullif($5::text, '')::json, $6::text, $7::text, $8::timestamptz
		FROM runs WHERE id = $9 AND tenant = $10`
	listCommands = `SELECT id, tenant, shard, run_id, kind, step, item, told, by, reason, at FROM commands WHERE shard = $1 ORDER BY number LIMIT $2`
)

// PutCommand stores a command for the leader of the run's shard, with its act.
func (db *DB) PutCommand(ctx context.Context, c automation.Command, act automation.Act) error {
	if err := store.CheckAct(act, c.Tenant); err != nil {
		return err
	}
	told, err := store.EncodeTold(c.Told)
	if err != nil {
		return automation.AsError(err)
	}
	return db.act(ctx, act, string(c.Run), store.Topics{store.TopicInbox}, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, insertCommand, string(c.ID), string(c.Kind), c.Step, c.Item, told, c.By, c.Reason, moment(c.At), string(c.Run), string(c.Tenant))
		if err == nil && tag.RowsAffected() == 0 {
			return store.NotFound("run")
		}
		return err
	}, nil)
}

// Commands returns the waiting commands of a shard, the oldest first.
func (db *DB) Commands(ctx context.Context, shard, limit int) ([]automation.Command, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	return list(ctx, db, scanCommand, listCommands, shard, limit)
}

func scanCommand(row pgx.Row) (automation.Command, error) {
	var c automation.Command
	err := row.Scan(&c.ID, &c.Tenant, &c.Shard, &c.Run, &c.Kind, &c.Step, &c.Item, &c.Told, &c.By, &c.Reason, stamp{&c.At})
	return c, err
}
