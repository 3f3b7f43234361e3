package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	takeNumber  = `UPDATE shards SET seq = seq + 1 WHERE shard = ? RETURNING seq`
	insertShard = `INSERT INTO shards (shard) VALUES (?) ON CONFLICT DO NOTHING`
	insertRun   = `INSERT INTO runs (id, tenant, shard, workflow, plan_hash, state, submitted_by, rerun_of, day, created_at, seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	selectRun   = `SELECT id, tenant, shard, workflow, plan_hash, state, error, submitted_by, rerun_of, created_at, started_at, ended_at, seq,
		parent_run_id, parent_step, parent_item, parent_attempt, outputs FROM runs`
	selectRuns = `SELECT id, tenant, shard, workflow, plan_hash, state, error, submitted_by, rerun_of, created_at, started_at, ended_at, seq,
		parent_run_id, parent_step, parent_item, parent_attempt, NULL FROM runs`
	runByID = selectRun + ` WHERE id = ? AND tenant = ?`
)

// Accept stores a run in state queued with its first entry and the act.
func (db *DB) Accept(ctx context.Context, run automation.Run, act automation.Act) (automation.Run, bool, error) {
	run, body, err := store.NewRun(run, act)
	if err != nil {
		return automation.Run{}, false, err
	}
	created := true
	err = db.write(ctx, store.Topics{store.TopicInbox, store.TopicEntries}, func(ctx context.Context, w *writer) error {
		earlier, repeated, err := w.act(ctx, act, string(run.ID))
		if err != nil {
			return err
		}
		if repeated {
			created = false
			run, err = scanRun(w.row(ctx, runByID, earlier, string(run.Tenant)))
			return gone(err, "run")
		}
		run.Seq, err = w.accept(ctx, run, body)
		return err
	})
	if err != nil {
		return automation.Run{}, false, err
	}
	return run, created, nil
}

func (w *writer) accept(ctx context.Context, run automation.Run, body []byte) (seq int64, err error) {
	err = w.row(ctx, takeNumber, run.Shard).Scan(&seq)
	if errors.Is(err, sql.ErrNoRows) { // the first run of its shard
		if err := w.exec(ctx, insertShard, run.Shard); err != nil {
			return 0, err
		}
		err = w.row(ctx, takeNumber, run.Shard).Scan(&seq)
	}
	if err != nil {
		return 0, err
	}
	err = w.exec(ctx, insertRun, string(run.ID), string(run.Tenant), run.Shard, run.Workflow, string(run.PlanHash),
		string(run.State), run.By, string(run.RerunOf), run.Created.Unix()/86400, micros(run.Created), seq)
	if refersToNothing(err) {
		return 0, store.NotFound("plan: store it before a run of it")
	}
	if err != nil {
		return 0, err
	}
	return seq, w.insert(ctx, insertEntry, "", 5, []any{run.Shard, seq, string(run.ID), fromAcceptor, body})
}

const insertChildren = `INSERT INTO runs (id, tenant, shard, workflow, plan_hash, state, submitted_by, day, created_at, seq,
	parent_run_id, parent_step, parent_item, parent_attempt)`

// insertAccepted adds the rows of the runs that a batch accepts.
func (w *writer) insertAccepted(ctx context.Context, runs []automation.Run, newest map[automation.RunID]int64) error {
	args := make([]any, 0, 14*len(runs))
	for _, r := range runs {
		args = append(args, string(r.ID), string(r.Tenant), r.Shard, r.Workflow, string(r.PlanHash), string(r.State), r.By,
			r.Created.Unix()/86400, micros(r.Created), newest[r.ID],
			string(r.Parent.Run), r.Parent.Step, r.Parent.Item, r.Parent.Attempt)
	}
	err := w.insert(ctx, insertChildren, "", 14, args)
	if refersToNothing(err) {
		return store.NotFound("plan: store it before a run of it")
	}
	return err
}

// gone turns the absence of a row into not_found.
func gone(err error, what string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return store.NotFound(what)
	}
	return err
}

const updateRun = `UPDATE runs SET state = ?, error = ?, started_at = coalesce(?, started_at), ended_at = ?, outputs = ?, seq = max(seq, ?)
	WHERE id = ? AND shard = ?`

// updateRun changes the record of a run, with the number of its newest entry,
// which it takes out of newest.
func (w *writer) updateRun(ctx context.Context, shard int, u automation.RunUpdate, newest map[automation.RunID]int64) error {
	var problem any
	if u.Error != nil {
		text, err := encoded(u.Error)
		if err != nil {
			return err
		}
		problem = text
	}
	n, err := w.changed(ctx, updateRun, string(u.State), problem, micros(u.Started), micros(u.Ended), text(u.Outputs), newest[u.Run], string(u.Run), shard)
	if err != nil {
		return err
	}
	if n == 0 {
		return store.NotFound("run in this shard: an update has no run")
	}
	delete(newest, u.Run)
	return nil
}

func scanRun(row scanner) (automation.Run, error) {
	var r automation.Run
	var parent store.ParentRow
	err := row.Scan(&r.ID, &r.Tenant, &r.Shard, &r.Workflow, &r.PlanHash, &r.State, document{&r.Error}, &r.By, &r.RerunOf,
		stamp{&r.Created}, stamp{&r.Started}, stamp{&r.Ended}, &r.Seq, &parent.Run, &parent.Step, &parent.Item, &parent.Attempt, document{&r.Outputs})
	r.Parent = parent.Parent()
	return r, err
}

// Run returns one run.
func (db *DB) Run(ctx context.Context, tenant automation.TenantID, id automation.RunID) (automation.Run, error) {
	return one(ctx, db, scanRun, "run", runByID, string(id), string(tenant))
}

const (
	runsBefore = ` WHERE tenant = ? AND id < ?`
	ofState    = ` AND state = ?`
	ofParent   = ` AND parent_run_id = ?`
	onTop      = ` AND parent_run_id IS NULL`
	newestRuns = ` ORDER BY id DESC LIMIT ?`
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
	query, args := selectRuns+runsBefore, []any{string(tenant), before}
	if q.State != "" {
		query, args = query+ofState, append(args, string(q.State))
	}
	switch {
	case q.Parent != "":
		query, args = query+ofParent, append(args, string(q.Parent))
	case !q.Nested:
		query += onTop
	}
	return list(ctx, db, scanRun, query+newestRuns, append(args, page.Limit)...)
}

const (
	// The time says when it was wanted last, to the hour: one that is wanted stays.
	insertPlan = `INSERT INTO plans (tenant, hash, body, created_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (tenant, hash) DO UPDATE SET created_at = excluded.created_at WHERE plans.created_at < excluded.created_at - 3600000000`
	selectPlan = `SELECT body FROM plans WHERE tenant = ? AND hash = ?`
)

// PutPlan stores a plan under its hash; storing it again changes nothing.
func (db *DB) PutPlan(ctx context.Context, tenant automation.TenantID, hash automation.Digest, plan []byte, at time.Time) error {
	return db.write(ctx, nil, func(ctx context.Context, w *writer) error {
		return w.exec(ctx, insertPlan, string(tenant), string(hash), plan, micros(at))
	})
}

// Plan returns a stored plan.
func (db *DB) Plan(ctx context.Context, tenant automation.TenantID, hash automation.Digest) ([]byte, error) {
	return one(ctx, db, scanBytes, "plan", selectPlan, string(tenant), string(hash))
}

func scanBytes(row scanner) (b []byte, err error) { return b, row.Scan(&b) }

const (
	insertCommand = `INSERT INTO commands (id, tenant, shard, run_id, kind, step, item, told, by, reason, at)
		SELECT ?, tenant, shard, id, ?, ?, ?, nullif(?, ''), ?, ?, ? FROM runs WHERE id = ? AND tenant = ?`
	listCommands = `SELECT id, tenant, shard, run_id, kind, step, item, told, by, reason, at FROM commands WHERE shard = ? ORDER BY number LIMIT ?`
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
	return db.write(ctx, store.Topics{store.TopicInbox}, func(ctx context.Context, w *writer) error {
		_, repeated, err := w.act(ctx, act, string(c.Run))
		if err != nil || repeated {
			return err
		}
		n, err := w.changed(ctx, insertCommand, string(c.ID), string(c.Kind), c.Step, c.Item, told, c.By, c.Reason, micros(c.At), string(c.Run), string(c.Tenant))
		if err == nil && n == 0 {
			return store.NotFound("run")
		}
		return err
	})
}

// Commands returns the waiting commands of a shard, the oldest first.
func (db *DB) Commands(ctx context.Context, shard, limit int) ([]automation.Command, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	return list(ctx, db, scanCommand, listCommands, shard, limit)
}

func scanCommand(row scanner) (automation.Command, error) {
	var c automation.Command
	err := row.Scan(&c.ID, &c.Tenant, &c.Shard, &c.Run, &c.Kind, &c.Step, &c.Item, document{&c.Told}, &c.By, &c.Reason, stamp{&c.At})
	return c, err
}
