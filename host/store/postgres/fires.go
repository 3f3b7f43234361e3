package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	nextSchedules = selectSchedule + ` WHERE due_at IS NOT NULL AND id NOT IN (SELECT schedule_id FROM schedule_fires)
		ORDER BY due_at, id LIMIT $1`
	moveSchedule = `UPDATE schedules SET next_at = $1, due_at = $2, last_at = $3 WHERE id = $4 AND tenant = $5 AND version = $6 AND next_at = $7
		AND id NOT IN (SELECT schedule_id FROM schedule_fires)`
	putOff       = `UPDATE schedules SET due_at = $1 WHERE id = $2 AND tenant = $3 AND version = $4 AND next_at = $5 AND due_at = $6`
	failSchedule = `UPDATE schedules SET last_error = $1 WHERE id = $2 AND tenant = $3`
	passSchedule = `UPDATE schedules SET last_error = NULL, last_run = $1 WHERE id = $2 AND tenant = $3`
	insertFire   = `INSERT INTO schedule_fires (schedule_id, tenant, at, run_id, plan_hash, workflow, by, claimed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	selectFires  = `SELECT schedule_id, tenant, at, run_id, plan_hash, workflow, by, claimed_at FROM schedule_fires ORDER BY claimed_at, schedule_id LIMIT $1`
	deleteFire   = `DELETE FROM schedule_fires WHERE schedule_id = $1 AND tenant = $2 AND run_id = $3`
)

// NextSchedules returns the schedules that have a next time and no claimed one.
func (db *DB) NextSchedules(ctx context.Context, limit int) ([]automation.Schedule, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	return list(ctx, db, scanSchedule, nextSchedules, limit)
}

// ClaimFire moves a schedule on, with the act.
func (db *DB) ClaimFire(ctx context.Context, c store.Claim, act automation.Act) error {
	s := c.Schedule
	if err := store.CheckAct(act, s.Tenant); err != nil {
		return err
	}
	return db.act(ctx, act, string(s.ID), store.Topics{}, func(ctx context.Context, tx pgx.Tx) error {
		n, err := changed(ctx, tx, moveSchedule, moment(c.Next), moment(c.Due), moment(c.At), string(s.ID), string(s.Tenant), s.Version, moment(s.Next))
		if err != nil {
			return err
		}
		if n == 0 {
			return store.Stale()
		}
		if f := c.Fire; f != nil {
			_, err := tx.Exec(ctx, insertFire, string(s.ID), string(s.Tenant), moment(f.At), string(f.Run), string(f.PlanHash), f.Workflow, f.By, moment(f.Claimed))
			return err
		}
		return recordFailure(ctx, tx, automation.Fire{Tenant: s.Tenant, Schedule: s.ID}, c.Problem)
	}, nil)
}

func recordFailure(ctx context.Context, tx pgx.Tx, f automation.Fire, problem *automation.Error) error {
	var text *string
	if problem != nil {
		written, err := encoded(problem)
		if err != nil {
			return err
		}
		text = &written
	}
	_, err := tx.Exec(ctx, failSchedule, text, string(f.Schedule), string(f.Tenant))
	return err
}

// PutOff sets when a schedule is due to be looked at again.
func (db *DB) PutOff(ctx context.Context, s automation.Schedule, due time.Time) error {
	return db.write(ctx, store.Topics{}, func(ctx context.Context) error {
		_, err := db.pool.Exec(ctx, putOff, moment(due), string(s.ID), string(s.Tenant), s.Version, moment(s.Next), moment(s.Due))
		return err
	})
}

// ClaimedFires returns the times that are claimed and not finished.
func (db *DB) ClaimedFires(ctx context.Context, limit int) ([]automation.Fire, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	return list(ctx, db, scanFire, selectFires, limit)
}

func scanFire(row pgx.Row) (automation.Fire, error) {
	var f automation.Fire
	err := row.Scan(&f.Schedule, &f.Tenant, stamp{&f.At}, &f.Run, &f.PlanHash, &f.Workflow, &f.By, stamp{&f.Claimed})
	return f, err
}

// FinishFire records what a claimed time led to and ends the claim.
func (db *DB) FinishFire(ctx context.Context, f automation.Fire, run automation.RunID, problem *automation.Error) error {
	return db.write(ctx, store.Topics{}, func(ctx context.Context) error {
		tx, err := db.pool.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(ctx) }()
		n, err := changed(ctx, tx, deleteFire, string(f.Schedule), string(f.Tenant), string(f.Run))
		if err != nil || n == 0 {
			return err
		}
		if problem != nil {
			err = recordFailure(ctx, tx, f, problem)
		} else {
			err = recordRun(ctx, tx, f, run)
		}
		if err != nil {
			return err
		}
		return tx.Commit(ctx)
	})
}

func recordRun(ctx context.Context, tx pgx.Tx, f automation.Fire, run automation.RunID) error {
	if _, err := tx.Exec(ctx, passSchedule, string(run), string(f.Schedule), string(f.Tenant)); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, putScheduleRun, moment(f.At), string(run), string(f.Schedule), string(f.Tenant))
	return err
}
