package sqlite

import (
	"context"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	nextSchedules = selectSchedule + ` WHERE due_at IS NOT NULL AND id NOT IN (SELECT schedule_id FROM schedule_fires)
		ORDER BY due_at, id LIMIT ?`
	moveSchedule = `UPDATE schedules SET next_at = ?, due_at = ?, last_at = ? WHERE id = ? AND tenant = ? AND version = ? AND next_at = ?
		AND id NOT IN (SELECT schedule_id FROM schedule_fires)`
	putOff       = `UPDATE schedules SET due_at = ? WHERE id = ? AND tenant = ? AND version = ? AND next_at = ? AND due_at = ?`
	failSchedule = `UPDATE schedules SET last_error = ? WHERE id = ? AND tenant = ?`
	passSchedule = `UPDATE schedules SET last_error = NULL, last_run = ? WHERE id = ? AND tenant = ?`
	insertFire   = `INSERT INTO schedule_fires (schedule_id, tenant, at, run_id, plan_hash, workflow, by, claimed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	selectFires  = `SELECT schedule_id, tenant, at, run_id, plan_hash, workflow, by, claimed_at FROM schedule_fires ORDER BY claimed_at, schedule_id LIMIT ?`
	deleteFire   = `DELETE FROM schedule_fires WHERE schedule_id = ? AND tenant = ? AND run_id = ?`
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
	return db.write(ctx, store.Topics{}, func(ctx context.Context, w *writer) error {
		n, err := w.changed(ctx, moveSchedule, micros(c.Next), micros(c.Due), micros(c.At), string(s.ID), string(s.Tenant), s.Version, micros(s.Next))
		if err != nil {
			return err
		}
		if n == 0 {
			return store.Stale()
		}
		if _, _, err := w.act(ctx, act, string(s.ID)); err != nil {
			return err
		}
		if f := c.Fire; f != nil {
			return w.exec(ctx, insertFire, string(s.ID), string(s.Tenant), micros(f.At), string(f.Run), string(f.PlanHash), f.Workflow, f.By, micros(f.Claimed))
		}
		return w.failSchedule(ctx, s.Tenant, s.ID, c.Problem)
	})
}

func (w *writer) failSchedule(ctx context.Context, tenant automation.TenantID, id automation.ScheduleID, problem *automation.Error) error {
	var text any
	if problem != nil {
		written, err := encoded(problem)
		if err != nil {
			return err
		}
		text = written
	}
	return w.exec(ctx, failSchedule, text, string(id), string(tenant))
}

// PutOff sets when a schedule is due to be looked at again.
func (db *DB) PutOff(ctx context.Context, s automation.Schedule, due time.Time) error {
	return db.write(ctx, store.Topics{}, func(ctx context.Context, w *writer) error {
		_, err := w.changed(ctx, putOff, micros(due), string(s.ID), string(s.Tenant), s.Version, micros(s.Next), micros(s.Due))
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

func scanFire(row scanner) (automation.Fire, error) {
	var f automation.Fire
	err := row.Scan(&f.Schedule, &f.Tenant, stamp{&f.At}, &f.Run, &f.PlanHash, &f.Workflow, &f.By, stamp{&f.Claimed})
	return f, err
}

// FinishFire records what a claimed time led to and ends the claim.
func (db *DB) FinishFire(ctx context.Context, f automation.Fire, run automation.RunID, problem *automation.Error) error {
	return db.write(ctx, store.Topics{}, func(ctx context.Context, w *writer) error {
		n, err := w.changed(ctx, deleteFire, string(f.Schedule), string(f.Tenant), string(f.Run))
		if err != nil || n == 0 {
			return err
		}
		if problem != nil {
			return w.failSchedule(ctx, f.Tenant, f.Schedule, problem)
		}
		if err := w.exec(ctx, passSchedule, string(run), string(f.Schedule), string(f.Tenant)); err != nil {
			return err
		}
		return w.exec(ctx, putScheduleRun, micros(f.At), string(run), string(f.Schedule), string(f.Tenant))
	})
}
